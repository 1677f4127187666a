// Trees that work against the writer: directories that become symlinks while it walks, and paths as deep as a path can be.
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "tests/unit/storage/rig.h"

namespace longhaul::storage::test {
namespace {

using wire::FailReason;

// Somebody with a shell at the target: `d` is a directory, then a symlink to the canary's place, again and again.
class Swapper {
  public:
    Swapper(const std::string& target, const std::string& outside)
        : thread_([this, target, outside] {
              const std::string d = target + "/d", away = target + "/d.away";
              while (!stop_.load()) {
                  if (rename(d.c_str(), away.c_str()) != 0) continue;  // the writer has just replaced it
                  if (symlink(outside.c_str(), d.c_str()) == 0) {
                      ++swaps_;
                      unlink(d.c_str());
                  }
                  rename(away.c_str(), d.c_str());
              }
          }) {}
    ~Swapper() {
        stop_ = true;
        thread_.join();
    }
    int swaps() const { return swaps_.load(); }

  private:
    std::atomic<bool> stop_{false};
    std::atomic<int> swaps_{0};
    std::thread thread_;
};

// Whatever the moment of the swap, nothing outside the store is made, changed, linked or removed: files, directories, symlinks,
// links, removals and metadata beneath `d` land in the store or fail by a name.
TEST(HostileTarget, SymlinkSwapsUnderTheWriter) {
    TemporaryDirectory source, target, outside;
    for (const char* root : {"", "/sub"})
        ASSERT_TRUE(mkdir((source / ("d" + std::string(root))).c_str(), 0755) == 0);
    for (const char* name : {"d/file", "d/sub/deep", "d/metadata"})
        put_file(source / name, "of the source");
    ASSERT_EQ(symlink("x", (source / "d/symlink").c_str()), 0);
    ASSERT_EQ(mkdir((outside / "sub").c_str(), 0700), 0);
    for (const char* name : {"file", "metadata", "removed", "linked", "sub/deep"})
        put_file(outside / name, "canary");
    ASSERT_EQ(mkdir((target / "d").c_str(), 0755), 0);
    const auto before = describe(outside.path());
    Rig rig;
    rig.open(source.path(), target.path());
    std::size_t landed = 0, refused = 0;
    {
        const Swapper swapper(target.path(), outside.path());
        const int rounds_max = 2000;  // a bound, not a measure: it ends when enough swaps have been met
        for (int round = 0; round < rounds_max && (round < 100 || swapper.swaps() < 200); ++round) {
            ManifestMaker maker(source.path(), 2);
            maker.file("d/file");
            maker.directory("d/sub");
            maker.file("d/sub/deep");
            maker.symlink("d/symlink");
            maker.file("d/metadata");
            maker.metadata("d/metadata");
            maker.remove("d/removed");
            wire::Entry& link = maker.metadata("d/file");
            link.kind = wire::EntryKind::link;
            link.size = 13;
            link.path = "elsewhere";
            link.target = "d/linked";
            const Outcome outcome = rig.transfer(maker.take(), static_cast<std::uint64_t>(round) + 1);
            landed += 8 - outcome.last.failed_entries;
            refused += outcome.last.failed_entries;
        }
        EXPECT_GT(swapper.swaps(), 0);
    }
    EXPECT_GT(landed, 0u);
    EXPECT_EQ(describe(outside.path()), before) << landed << " landed, " << refused << " refused";
    EXPECT_FALSE(exists(target / "elsewhere"));
}

// The deepest path that a manifest can carry is read, made and removed again; its parents come by themselves.
TEST(HostileTarget, ThePathAsDeepAsPathsGo) {
    constexpr std::size_t kLevels = 2047;                       // "a/" each, and one more name: 4095 bytes
    TemporaryDirectory source("/dev/shm"), target("/dev/shm");  // two thousand directory fsyncs
    std::string path;
    int directory = open(source.path().c_str(), O_RDONLY | O_DIRECTORY);
    for (std::size_t i = 0; i < kLevels; ++i) {
        ASSERT_EQ(mkdirat(directory, "a", 0755), 0);
        const int next = openat(directory, "a", O_RDONLY | O_DIRECTORY);
        close(directory);
        directory = next;
        path += "a/";
    }
    path += "f";
    ASSERT_EQ(path.size(), wire::kPathBytesMax);
    const int file = openat(directory, "f", O_WRONLY | O_CREAT, 0640);
    ASSERT_EQ(write(file, "deep", 4), 4);
    close(file);
    struct stat found {};
    ASSERT_EQ(fstatat(directory, "f", &found, 0), 0);
    close(directory);

    wire::Manifest manifest;
    manifest.id = {0xdee9, 1};
    manifest.generation = 1;
    manifest.store = 2;
    manifest.payload_bytes = 4;
    wire::Entry entry;
    entry.path = path;
    entry.mode = 0640;
    entry.size = 4;
    entry.uid = getuid();
    entry.gid = getgid();
    entry.mtime_ns = std::int64_t{found.st_mtim.tv_sec} * 1'000'000'000 + found.st_mtim.tv_nsec;
    manifest.entries = {entry};
    ASSERT_TRUE(wire::write_manifest(manifest).ok());
    Rig rig;
    rig.open(source.path(), target.path());
    const Outcome outcome = rig.transfer(manifest);
    EXPECT_EQ(outcome.reason_of(0), FailReason::none);
    const int root = open(target.path().c_str(), O_RDONLY | O_DIRECTORY);
    const int arrived = openat(root, path.c_str(), O_RDONLY);
    char bytes[8] = {};
    EXPECT_EQ(read(arrived, bytes, sizeof(bytes)), 4);
    EXPECT_STREQ(bytes, "deep");
    close(arrived);

    manifest.id.low = 2;
    manifest.payload_bytes = 0;
    manifest.entries[0] = {};
    manifest.entries[0].kind = wire::EntryKind::remove;
    manifest.entries[0].path = path;
    EXPECT_EQ(rig.transfer(manifest).reason_of(0), FailReason::none);
    EXPECT_NE(faccessat(root, path.c_str(), F_OK, 0), 0);
    close(root);
}

}  // namespace
}  // namespace longhaul::storage::test
