// The rig's file system helpers, manifest maker and loop.
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/storage/rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace longhaul::storage::test {

namespace {

constexpr auto kPatience = std::chrono::seconds(60);

std::int64_t nanoseconds(const timespec& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

std::string link_text(const std::string& path) {
    std::string text(4096, '\0');
    const ssize_t bytes = readlink(path.c_str(), text.data(), text.size());
    text.resize(bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
    return text;
}

}  // namespace

TemporaryDirectory::TemporaryDirectory(const std::string& on) : path_(on + "/longhaul-storage-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) {
        std::perror(path_.c_str());
        std::abort();
    }
}

TemporaryDirectory::~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

Mount::Mount(const std::string& type, const std::string& options) {
    mounted_ = ::mount("none", directory_.path().c_str(), type.c_str(), 0, options.c_str()) == 0;
}
Mount::~Mount() {
    if (mounted_) umount2(directory_.path().c_str(), MNT_DETACH);
}
bool Mount::make_read_only() {
    return ::mount(nullptr, directory_.path().c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) ==
           0;
}

std::string random_bytes(Random& random, std::size_t count) {
    std::string bytes((count + 7) / 8 * 8, '\0');
    for (std::size_t i = 0; i < bytes.size(); i += 8) {
        const std::uint64_t word = random.next();
        std::memcpy(bytes.data() + i, &word, sizeof(word));
    }
    bytes.resize(count);
    return bytes;
}

void put_file(const std::string& path, const std::string& content) {
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ASSERT_GE(fd, 0) << path << ": " << std::strerror(errno);
    for (std::size_t done = 0; done < content.size();) {
        const ssize_t bytes = ::write(fd, content.data() + done, content.size() - done);
        ASSERT_GT(bytes, 0) << path;
        done += static_cast<std::size_t>(bytes);
    }
    close(fd);
}

std::string get_file(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    EXPECT_GE(fd, 0) << path << ": " << std::strerror(errno);
    if (fd < 0) return {};
    struct stat found {};
    fstat(fd, &found);
    std::string content(static_cast<std::size_t>(found.st_size), '\0');
    std::size_t done = 0;
    while (done < content.size()) {
        const ssize_t bytes = ::read(fd, content.data() + done, content.size() - done);
        if (bytes <= 0) break;
        done += static_cast<std::size_t>(bytes);
    }
    EXPECT_EQ(done, content.size()) << path;
    close(fd);
    return content;
}

bool exists(const std::string& path) {
    struct stat found {};
    return lstat(path.c_str(), &found) == 0;
}

std::vector<std::string> names_in(const std::string& directory) {
    std::vector<std::string> names;
    DIR* stream = opendir(directory.c_str());
    if (stream == nullptr) return names;
    while (const dirent* found = readdir(stream)) {
        const std::string name = found->d_name;
        if (name != "." && name != "..") names.push_back(name);
    }
    closedir(stream);
    std::sort(names.begin(), names.end());
    return names;
}

std::vector<std::string> staged(const std::string& target_root) {
    const std::string staging = target_root + "/.longhaul/staging";
    std::vector<std::string> names;
    for (const std::string& name : names_in(staging)) {
        if (name.find_first_not_of("0123456789") != std::string::npos)
            names.push_back(name);
        else  // a shelf
            for (const std::string& on_shelf : names_in(staging + "/" + name))
                names.push_back(on_shelf);
    }
    std::sort(names.begin(), names.end());
    return names;
}

std::map<std::string, std::string> describe(const std::string& root) {
    std::map<std::string, std::string> lines;
    std::vector<std::string> pending{""};
    while (!pending.empty()) {
        const std::string below = pending.back();
        pending.pop_back();
        for (const std::string& name : names_in(below.empty() ? root : root + "/" + below)) {
            if (below.empty() && name == ".longhaul") continue;
            const std::string path = below.empty() ? name : below + "/" + name;
            struct stat found {};
            EXPECT_EQ(lstat((root + "/" + path).c_str(), &found), 0);
            std::string line = std::to_string(found.st_mode) + " " + std::to_string(found.st_uid) + " " +
                               std::to_string(found.st_gid) + " " +
                               std::to_string(nanoseconds(found.st_mtim));
            if (S_ISDIR(found.st_mode)) pending.push_back(path);
            if (S_ISLNK(found.st_mode)) line += " -> " + link_text(root + "/" + path);
            if (S_ISREG(found.st_mode)) line += " " + get_file(root + "/" + path);
            lines[path] = line;
        }
    }
    return lines;
}

ManifestMaker::ManifestMaker(std::string source_root, StoreNumber target) : root_(std::move(source_root)) {
    static std::uint64_t bundles = 0;
    manifest_.id = {0x10a6, ++bundles};
    manifest_.generation = 1;
    manifest_.store = target;
}

wire::Entry& ManifestMaker::add(wire::EntryKind kind, const std::string& path, bool from_source) {
    wire::Entry& entry = manifest_.entries.emplace_back();
    entry.kind = kind;
    entry.path = path;
    if (!from_source) return entry;
    struct stat found {};
    EXPECT_EQ(lstat((root_ + "/" + path).c_str(), &found), 0) << path;
    entry.mode = found.st_mode & 07777;
    entry.uid = found.st_uid;
    entry.gid = found.st_gid;
    entry.mtime_ns = nanoseconds(found.st_mtim);
    entry.ctime_ns = nanoseconds(found.st_ctim);
    entry.size = static_cast<std::uint64_t>(found.st_size);
    return entry;
}

void ManifestMaker::lay_out(wire::Entry& entry) {
    if (entry.size >= wire::kDirectBytesMin)
        manifest_.payload_bytes = (manifest_.payload_bytes + 4095) / 4096 * 4096;
    entry.payload_offset = manifest_.payload_bytes;
    manifest_.payload_bytes += entry.size;
}

wire::Entry& ManifestMaker::file(const std::string& path) {
    wire::Entry& entry = add(wire::EntryKind::file, path, true);
    lay_out(entry);
    return entry;
}
wire::Entry& ManifestMaker::range(const std::string& path, const wire::ObjectKey& object,
                                  std::uint64_t offset, std::uint64_t bytes) {
    wire::Entry& entry = add(wire::EntryKind::range, path, true);
    entry.object = object;
    entry.file_size = entry.size;
    entry.file_offset = offset;
    entry.size = bytes;
    lay_out(entry);
    return entry;
}
wire::Entry& ManifestMaker::assemble(const std::string& path, const wire::ObjectKey& object) {
    wire::Entry& entry = add(wire::EntryKind::assemble, path, true);
    entry.object = object;
    entry.file_size = object == wire::ObjectKey{} ? 0 : entry.size;
    return entry;
}
wire::Entry& ManifestMaker::directory(const std::string& path) {
    wire::Entry& entry = add(wire::EntryKind::directory, path, true);
    entry.size = 0;
    return entry;
}
wire::Entry& ManifestMaker::symlink(const std::string& path) {
    wire::Entry& entry = add(wire::EntryKind::symlink, path, true);
    entry.size = 0;
    entry.target = link_text(root_ + "/" + path);
    return entry;
}
wire::Entry& ManifestMaker::remove(const std::string& path) {
    return add(wire::EntryKind::remove, path, false);
}
wire::Entry& ManifestMaker::metadata(const std::string& path) {
    wire::Entry& entry = add(wire::EntryKind::metadata, path, true);
    entry.size = 0;
    return entry;
}
wire::Entry& ManifestMaker::mark(std::int64_t watermark_ns) {
    wire::Entry& entry = add(wire::EntryKind::mark, "", false);
    entry.mtime_ns = watermark_ns;
    return entry;
}

void ManifestMaker::tree() {
    walk("");
}

void ManifestMaker::walk(const std::string& below) {
    for (const std::string& name : names_in(below.empty() ? root_ : root_ + "/" + below)) {
        const std::string path = below.empty() ? name : below + "/" + name;
        struct stat found {};
        EXPECT_EQ(lstat((root_ + "/" + path).c_str(), &found), 0);
        if (S_ISLNK(found.st_mode)) symlink(path);
        if (S_ISREG(found.st_mode)) file(path);
        if (S_ISDIR(found.st_mode)) {
            directory(path);
            walk(path);
        }
    }
}

wire::Manifest ManifestMaker::take() {
    // What travels is what a parser accepted.
    const auto head = wire::write_manifest(manifest_);
    EXPECT_TRUE(head.ok()) << (head.ok() ? "" : head.error().text);
    return manifest_;
}

wire::FailReason Outcome::reason_of(std::uint32_t entry) const {
    for (const wire::EntryFailure& failure : last.failures)
        if (failure.entry == entry) return failure.reason;
    return wire::FailReason::none;
}

Rig::Rig(StorageConfig config, std::size_t arena_bytes)
    : arena_bytes_((arena_bytes + 4095) / 4096 * 4096),
      arena_(static_cast<std::uint8_t*>(std::aligned_alloc(4096, arena_bytes_))) {
    config.log = [this](const std::string& text) { said.push_back(text); };
    auto made = make_storage(config, {arena_, arena_bytes_});
    if (!made.ok()) {
        ADD_FAILURE() << made.error().text;
        std::abort();
    }
    storage = std::move(made).value();
}

Rig::~Rig() {
    storage.reset();
    std::free(arena_);
}

void Rig::turn() {
    storage->submit();
    if (storage->poll(events) == 0) ::poll(nullptr, 0, 0);
}

void Rig::until(const std::function<bool()>& done, const char* what) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!done()) {
        turn();
        if (std::chrono::steady_clock::now() > deadline) {
            ADD_FAILURE() << "waited in vain for: " << what;
            std::abort();  // the storage would be destroyed with a broken promise
        }
    }
}

bool Rig::seen(Event::Kind kind, std::uint64_t token) const {
    return std::any_of(events.begin(), events.end(),
                       [&](const Event& event) { return event.kind == kind && event.token == token; });
}

void Rig::settle() {
    until([&] { return storage->idle(); }, "idle");
}

void Rig::open(const std::string& source, const std::string& target) {
    const auto first = storage->open_store(1, source, StoreRole::source);
    ASSERT_TRUE(first.ok()) << first.error().text;
    const auto second = storage->open_store(2, target, StoreRole::target);
    ASSERT_TRUE(second.ok()) << second.error().text;
}

wire::Trailer Rig::read_all(const wire::Manifest& manifest, std::vector<std::uint8_t>& payload) {
    auto reader = storage->open_reader(1, manifest);
    EXPECT_TRUE(reader.ok()) << reader.error().text;
    payload.assign(manifest.payload_bytes, 0xee);
    for (std::uint64_t at = 0; at < payload.size();) {
        std::vector<std::pair<std::uint64_t, std::uint64_t>> wave;  // token, offset
        for (std::size_t i = 0; i < blocks() && at < payload.size(); ++i) {
            const std::uint64_t bytes = std::min<std::uint64_t>(kStripeBytes, payload.size() - at);
            std::memset(block(i).data(), 0xdd, kStride);
            wave.emplace_back(next_token(), at);
            reader.value()->read(at, block(i).first(bytes), wave.back().first);
            at += bytes;
        }
        for (const auto& [token, offset] : wave)
            until([&, wanted = token] { return seen(Event::Kind::read_done, wanted); }, "read_done");
        for (std::size_t i = 0; i < wave.size(); ++i) {
            const std::uint64_t bytes =
                std::min<std::uint64_t>(kStripeBytes, payload.size() - wave[i].second);
            std::memcpy(payload.data() + wave[i].second, block(i).data(), bytes);
            EXPECT_TRUE(std::all_of(block(i).begin() + static_cast<std::ptrdiff_t>(bytes), block(i).end(),
                                    [](std::uint8_t byte) { return byte == 0xdd; }))
                << "a read left its span";
        }
        events.clear();
    }
    if (wire::asks_to_verify(manifest)) {
        const auto token = next_token();
        reader.value()->read_to_verify(token);
        until([&] { return seen(Event::Kind::verify_read, token); }, "verify_read");
    }
    return reader.value()->trailer();
}

Outcome Rig::finish(BundleWriter& writer, const wire::Trailer& trailer) {
    const std::uint64_t token = next_token();
    events.clear();
    writer.finish(trailer, token);
    Outcome outcome;
    until(
        [&] {
            outcome = {};
            for (const Event& event : events) {
                if (event.token != token) continue;
                if (event.kind == Event::Kind::mark) outcome.marks.push_back(event.watermark_ns);
                if (event.kind != Event::Kind::bundle_stage) continue;
                EXPECT_TRUE(outcome.marks.empty()) << "a mark came before its bundle was published";
                outcome.stages.push_back(event.status.stage);
                outcome.last = event.status;
            }
            return !outcome.stages.empty() && outcome.stages.back() != wire::Stage::durable &&
                   storage->idle();
        },
        "the bundle's last stage");
    return outcome;
}

Outcome Rig::write_all(const wire::Manifest& manifest, const std::vector<std::uint8_t>& payload,
                       const wire::Trailer& trailer, std::uint64_t seed) {
    auto writer = storage->open_writer(manifest);
    EXPECT_TRUE(writer.ok()) << writer.error().text;
    std::vector<std::uint64_t> offsets;
    for (std::uint64_t at = 0; at < payload.size(); at += kStripeBytes)
        offsets.push_back(at);
    Random random(seed);
    for (std::size_t i = offsets.size(); i > 1; --i)
        std::swap(offsets[i - 1], offsets[random.below(i)]);
    for (std::size_t from = 0; from < offsets.size(); from += blocks()) {
        std::vector<std::uint64_t> tokens;
        for (std::size_t i = from; i < std::min(offsets.size(), from + blocks()); ++i) {
            const std::uint64_t bytes = std::min<std::uint64_t>(kStripeBytes, payload.size() - offsets[i]);
            std::memcpy(block(i - from).data(), payload.data() + offsets[i], bytes);
            tokens.push_back(next_token());
            writer.value()->write(offsets[i], block(i - from).first(bytes), tokens.back());
        }
        for (const std::uint64_t token : tokens)
            until([&] { return seen(Event::Kind::write_done, token); }, "write_done");
        events.clear();
    }
    return finish(*writer.value(), trailer);
}

Outcome Rig::transfer(const wire::Manifest& manifest, std::uint64_t seed,
                      const std::function<void(std::vector<std::uint8_t>&, wire::Trailer&)>& tamper) {
    std::vector<std::uint8_t> payload;
    wire::Trailer trailer = read_all(manifest, payload);
    if (tamper) tamper(payload, trailer);
    return write_all(manifest, payload, trailer, seed);
}

wire::Trailer empty_trailer(const wire::Manifest& manifest) {
    wire::Trailer trailer;
    trailer.id = manifest.id;
    trailer.generation = manifest.generation;
    trailer.verdicts.resize(manifest.entries.size());
    return trailer;
}

}  // namespace longhaul::storage::test
