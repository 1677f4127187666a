// A storage under test with its arena, temporary trees, and the loop that a worker would run: submit, poll,
// wait.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/random.h"
#include "drivers/storage/storage.h"

namespace longhaul::storage::test {

inline constexpr std::size_t kStripeBytes = 64 * 1408;

// A directory of this test's own, removed with all that is in it. `on` chooses the file system.
class TemporaryDirectory {
  public:
    explicit TemporaryDirectory(const std::string& on = "/var/tmp");
    ~TemporaryDirectory();
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    const std::string& path() const noexcept { return path_; }
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

// A small file system mounted for one test; ok() is false where that is not permitted.
class Mount {
  public:
    Mount(const std::string& type, const std::string& options);
    ~Mount();
    Mount(const Mount&) = delete;
    Mount& operator=(const Mount&) = delete;
    bool ok() const noexcept { return mounted_; }
    const std::string& path() const noexcept { return directory_.path(); }
    bool make_read_only();

  private:
    TemporaryDirectory directory_;
    bool mounted_ = false;
};

std::string random_bytes(Random& random, std::size_t count);
void put_file(const std::string& path, const std::string& content);
std::string get_file(const std::string& path);                    // fails the test when it cannot be read
bool exists(const std::string& path);                             // lstat
std::vector<std::string> names_in(const std::string& directory);  // sorted, without . and ..
std::vector<std::string> staged(const std::string& target_root);

// Every name below `root` (without .longhaul) with kind, mode, owner, mtime, size and content or link text.
// Directory mtimes included. Two trees are the same when their descriptions are.
std::map<std::string, std::string> describe(const std::string& root);

// Manifest making: entries are stat'ed from a source tree and laid out in the payload as the composer does.
class ManifestMaker {
  public:
    ManifestMaker(std::string source_root, StoreNumber target);
    wire::Entry& file(const std::string& path);
    wire::Entry& range(const std::string& path, const wire::ObjectKey& object, std::uint64_t offset,
                       std::uint64_t bytes);
    wire::Entry& assemble(const std::string& path, const wire::ObjectKey& object);
    wire::Entry& directory(const std::string& path);
    wire::Entry& symlink(const std::string& path);
    wire::Entry& remove(const std::string& path);
    wire::Entry& metadata(const std::string& path);
    wire::Entry& mark(std::int64_t watermark_ns);
    void tree();  // everything below the root: directories, files, symlinks
    wire::Manifest take();

  private:
    wire::Entry& add(wire::EntryKind kind, const std::string& path, bool from_source);
    void lay_out(wire::Entry& entry);
    void walk(const std::string& below);

    std::string root_;
    wire::Manifest manifest_;
};

struct Outcome {
    std::vector<wire::Stage> stages;  // in order
    wire::BundleStatus last;
    std::vector<std::int64_t> marks;
    wire::FailReason reason_of(std::uint32_t entry) const;
};

class Rig {
  public:
    explicit Rig(StorageConfig config = {}, std::size_t arena_bytes = 8u << 20);
    ~Rig();
    Rig(const Rig&) = delete;
    Rig& operator=(const Rig&) = delete;

    Storage& operator*() { return *storage; }
    Storage* operator->() { return storage.get(); }
    MutableByteView block(std::size_t index) { return {arena_ + index * kStride, kStride}; }
    std::size_t blocks() const noexcept { return arena_bytes_ / kStride; }

    // One turn of the loop; events are counted by kind and token.
    void turn();
    // Turns until `done`; fails the test after a minute.
    void until(const std::function<bool()>& done, const char* what);
    bool seen(Event::Kind kind, std::uint64_t token) const;
    std::uint64_t next_token() noexcept { return ++token_; }

    void open(const std::string& source, const std::string& target);  // stores 1 and 2
    wire::Trailer read_all(const wire::Manifest& manifest, std::vector<std::uint8_t>& payload);
    // Reads, copies through blocks, writes in a shuffled order, finishes. `tamper` may change bytes between.
    Outcome transfer(const wire::Manifest& manifest, std::uint64_t seed = 1,
                     const std::function<void(std::vector<std::uint8_t>&, wire::Trailer&)>& tamper = {});
    Outcome write_all(const wire::Manifest& manifest, const std::vector<std::uint8_t>& payload,
                      const wire::Trailer& trailer, std::uint64_t seed = 1);
    Outcome finish(BundleWriter& writer, const wire::Trailer& trailer);
    void settle();  // until idle

    std::vector<std::string> said;
    std::vector<Event> events;
    std::unique_ptr<Storage> storage;

    static constexpr std::size_t kStride = kStripeBytes + 4096;

  private:
    std::size_t arena_bytes_;
    std::uint8_t* arena_;
    std::uint64_t token_ = 0;
};

// The head of a trailer without failures for a manifest without payload.
wire::Trailer empty_trailer(const wire::Manifest& manifest);

}  // namespace longhaul::storage::test
