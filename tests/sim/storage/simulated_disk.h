// A disk in memory that keeps only what was flushed. It holds two images of one tree, what processes see and what is
// on the medium, and between them the changes that nobody has flushed: at a crash any of them may have reached the
// medium, whole, in part or not at all. Every call can be made to fail.
//
// Journal::ordered is what ext4 and XFS do: names and attributes reach the medium in the order in which they were
// changed, and flushing one brings all before it. Journal::none is what POSIX promises and no more: each name by
// itself, attributes only by fsync of their own file. File content keeps no order in either, nor does a size.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/bytes.h"
#include "dataplane/base/random.h"
#include "drivers/storage/disk.h"

namespace longhaul::storage::sim {

using InodeNumber = std::uint64_t;
inline constexpr InodeNumber kRootInode = 1;
inline constexpr std::uint64_t kSectorBytes = 512;  // reaches the medium whole or not at all

struct Attributes {
    mode_t mode = 0;  // permission bits
    uid_t uid = 0;
    gid_t gid = 0;
    std::int64_t mtime_ns = 0;
    std::int64_t ctime_ns = 0;
    std::map<std::string, std::string> extended;
};

struct Inode {
    enum class Kind : std::uint8_t { file, directory, symlink };
    Kind kind = Kind::file;
    Attributes attributes;
    std::string bytes;                         // content of a file, text of a symlink
    std::map<std::string, InodeNumber> names;  // of a directory
};
using Image = std::map<InodeNumber, Inode>;  // inodes without a name stay: an image is small and short-lived

const Inode* find(const Image& image, std::string_view path);  // relative to the root; null: no such name

enum class Journal : std::uint8_t { ordered, none };

// What becomes of unflushed changes at a crash.
enum class Survival : std::uint8_t { nothing, names_only, content_only, everything, random };

class SimulatedDisk final : public Disk {
  public:
    SimulatedDisk(Journal journal, Image medium);  // as after a boot: what is seen is what is on the medium
    static Image empty_image();

    // Called before each change and each flush: every one of these moments is a crash point.
    std::function<void()> before_change;
    // Asked before each call that may fail: 0, or the errno that it fails with.
    struct Call {
        std::uint64_t number = 0;
        bool changes = false;  // asks the medium to change or to flush
    };
    std::function<int(const Call& call)> fault;
    std::uint64_t capacity_bytes = UINT64_MAX;  // of all files together: more is ENOSPC
    std::uint64_t calls() const noexcept { return calls_; }
    const Image& seen() const noexcept { return seen_; }
    Image crash(Survival survival, Random& random) const;
    std::size_t open_files() const noexcept { return open_.size(); }

    void set_clock_by(std::int64_t seconds) { now_ns_ += seconds * 1'000'000'000; }

    // The ring's calls: >= 0, or -errno.
    int read(int fd, MutableByteView into, std::uint64_t offset);
    int write(int fd, ByteView from, std::uint64_t offset);
    int fallocate(int fd, int mode, std::uint64_t offset, std::uint64_t bytes);
    int fdatasync(int fd);

    int open(const char* path, int flags) override;
    int openat2(int directory, const char* path, const open_how& how) override;
    void close(int fd) override;
    int get_flags(int fd) override;
    int set_flags(int fd, int flags) override;
    int flock(int fd, int operation) override;
    int fstat(int fd, struct stat& found) override;
    int fstatat(int directory, const char* name, struct stat& found) override;
    int names_in(int directory, std::vector<std::string>& names) override;
    ssize_t pread(int fd, MutableByteView into, std::uint64_t offset) override;
    ssize_t pwrite(int fd, ByteView from, std::uint64_t offset) override;
    int ftruncate(int fd, std::uint64_t bytes) override;
    int mkdirat(int directory, const char* name, mode_t mode) override;
    ssize_t read_link(int fd, char* text, std::size_t bytes) override;
    int symlinkat(const char* text, int directory, const char* name) override;
    int linkat(int from, const char* old_name, int to, const char* new_name) override;
    int renameat(int from, const char* old_name, int to, const char* new_name) override;
    int unlinkat(int directory, const char* name, int flags) override;
    int fchownat(int directory, const char* name, uid_t uid, gid_t gid, int flags) override;
    int fchmodat(int directory, const char* name, mode_t mode) override;
    int fchmod(int fd, mode_t mode) override;
    int utimensat(int directory, const char* name, const timespec (&times)[2]) override;
    int futimens(int fd, const timespec (&times)[2]) override;
    ssize_t list_attributes(int fd, char* names, std::size_t bytes) override;
    ssize_t get_attribute(int fd, const char* name, char* value, std::size_t bytes) override;
    int set_attribute(int fd, const char* name, std::string_view value) override;
    int remove_attribute(int fd, const char* name) override;
    int fsync(int fd) override;
    int syncfs(int fd) override;
    std::time_t now_s() override { return static_cast<std::time_t>(now_ns_ / 1'000'000'000); }

  private:
    struct Change {
        enum class Kind : std::uint8_t { link, unlink, rename, attributes, write, resize };
        Kind kind = Kind::link;
        InodeNumber inode = 0;
        InodeNumber directory = 0;  // link, unlink, rename from
        std::string name;
        InodeNumber to_directory = 0;  // rename
        std::string to_name;
        std::uint64_t offset = 0;  // write; resize: the new size
        std::string bytes;         // write
        Attributes attributes;
        std::int64_t when_ns = 0;

        bool of_content() const { return kind == Kind::write || kind == Kind::resize; }
        bool touches(InodeNumber a_directory) const;
        bool touches(InodeNumber a_directory, const std::string& a_name) const;
        bool shares_a_name_with(const Change& other) const;
    };
    struct Open {
        InodeNumber inode = 0;
        int flags = 0;
        bool owed_an_error =
            false;  // a flush of this file failed while it was open: its own next one says so too
    };

    int refused(int error);                // sets errno
    int begin_call(bool changes = false);  // 0, or the injected errno
    int begin_change();                    // likewise, at a crash point
    InodeNumber inode_of(int fd) const;
    InodeNumber lookup(InodeNumber directory, const std::string& name) const;  // 0: none
    struct Place {
        InodeNumber directory = 0;  // 0: a directory on the way is missing
        std::string name;
    };
    Place place_of(int directory, std::string_view path) const;
    InodeNumber lookup(const Place& place) const;
    int new_descriptor(InodeNumber inode, int flags);
    InodeNumber create(InodeNumber directory, const char* name, Inode::Kind kind, mode_t mode,
                       std::string bytes);
    void change(Change made);
    int change_attributes(InodeNumber inode, const std::function<void(Attributes&)>& edit);
    bool fits(InodeNumber inode, std::uint64_t size) const;
    int flush_file(int fd, bool attributes, int error);
    int flush_directory(InodeNumber inode, int error);
    void commit_if(const std::function<bool(const Change&)>& chosen);
    void commit_names_up_to_last(const std::function<bool(const Change&)>& wanted);
    void commit_names_with_what_they_need(const std::function<bool(const Change&)>& wanted);
    std::vector<bool> surviving_names(Survival survival, Random& random) const;
    static void apply(Image& image, const Change& change);
    static void apply_in_part(Image& image, const Change& change, Random& random);

    const Journal journal_;
    Image seen_;
    Image medium_;
    std::vector<Change> pending_;
    std::map<int, Open> open_;
    InodeNumber next_inode_ = 0;
    int next_descriptor_ = 1'000'000;  // never a descriptor of this process: a call past this disk fails
    std::uint64_t calls_ = 0;
    std::int64_t now_ns_ = 1'700'000'000'000'000'000;
};

}  // namespace longhaul::storage::sim
