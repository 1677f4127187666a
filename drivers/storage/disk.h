// The system calls that storage makes beside io_uring, as an argument: Linux in the product, in tests/sim a disk that
// loses what was not flushed. A call does what Linux's of the same name does, errno included, and blocks as long as that.
// No call follows a symlink in its last component. Stateless and safe on any thread; outlives every store.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/bytes.h"

namespace longhaul::storage {

// Signed, as dates are: before 1970 they are below 0.
inline constexpr std::int64_t kNanosecondsInSecond = 1'000'000'000;

class Disk {
  public:
    virtual int open(const char* path, int flags) = 0;  // a store's root, as the operator wrote it
    virtual int openat2(int directory, const char* path, const open_how& how) = 0;
    virtual void close(int fd) = 0;
    virtual int get_flags(int fd) = 0;  // fcntl: F_GETFL, F_SETFL
    virtual int set_flags(int fd, int flags) = 0;
    virtual int flock(int fd, int operation) = 0;

    virtual int fstat(int fd, struct stat& found) = 0;
    virtual int fstatat(int directory, const char* name, struct stat& found) = 0;
    virtual int names_in(int directory, std::vector<std::string>& names) = 0;  // without . and ..

    // Small records of the store's own; payload goes through the ring.
    virtual ssize_t pread(int fd, MutableByteView into, std::uint64_t offset) = 0;
    virtual ssize_t pwrite(int fd, ByteView from, std::uint64_t offset) = 0;
    virtual int ftruncate(int fd, std::uint64_t bytes) = 0;
    virtual int mkdirat(int directory, const char* name, mode_t mode) = 0;
    virtual ssize_t read_link(int fd, char* text,
                              std::size_t bytes) = 0;  // readlinkat; an O_PATH descriptor of a symlink
    virtual int symlinkat(const char* text, int directory, const char* name) = 0;
    virtual int linkat(int from, const char* old_name, int to, const char* new_name) = 0;
    virtual int renameat(int from, const char* old_name, int to, const char* new_name) = 0;
    virtual int unlinkat(int directory, const char* name, int flags) = 0;

    virtual int fchownat(int directory, const char* name, uid_t uid, gid_t gid, int flags) = 0;
    virtual int fchmodat(int directory, const char* name, mode_t mode) = 0;
    virtual int fchmod(int fd, mode_t mode) = 0;  // takes an O_PATH descriptor as well
    virtual int utimensat(int directory, const char* name, const timespec (&times)[2]) = 0;
    virtual int futimens(int fd, const timespec (&times)[2]) = 0;  // takes an O_PATH descriptor as well

    // Extended attributes, of an O_PATH descriptor as well.
    virtual ssize_t list_attributes(int fd, char* names, std::size_t bytes) = 0;
    virtual ssize_t get_attribute(int fd, const char* name, char* value, std::size_t bytes) = 0;
    virtual int set_attribute(int fd, const char* name, std::string_view value) = 0;
    virtual int remove_attribute(int fd, const char* name) = 0;

    virtual int fsync(int fd) = 0;
    virtual int syncfs(int fd) = 0;

    virtual std::time_t now_s() = 0;  // the clock that files are dated by

  protected:
    ~Disk() = default;
};

Disk& linux_disk();

}  // namespace longhaul::storage
