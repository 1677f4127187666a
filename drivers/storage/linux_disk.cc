// Storage's system calls, made.
// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "drivers/storage/disk.h"

namespace longhaul::storage {

namespace {

// The /proc name of a descriptor reaches the same inode without resolving a path again: for calls that refuse O_PATH.
class DescriptorName {
  public:
    explicit DescriptorName(int fd) noexcept { std::snprintf(name_, sizeof(name_), "/proc/self/fd/%d", fd); }
    const char* get() const noexcept { return name_; }

  private:
    char name_[40];
};

class LinuxDisk final : public Disk {
  public:
    int open(const char* path, int flags) override { return ::open(path, flags); }
    int openat2(int directory, const char* path, const open_how& how) override {
        return static_cast<int>(syscall(SYS_openat2, directory, path, &how, sizeof(how)));
    }
    void close(int fd) override { ::close(fd); }
    int get_flags(int fd) override { return fcntl(fd, F_GETFL); }
    int set_flags(int fd, int flags) override { return fcntl(fd, F_SETFL, flags); }
    int flock(int fd, int operation) override { return ::flock(fd, operation); }

    int fstat(int fd, struct stat& found) override { return ::fstat(fd, &found); }
    int fstatat(int directory, const char* name, struct stat& found) override {
        return ::fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW);
    }
    int names_in(int directory, std::vector<std::string>& names) override;

    ssize_t pread(int fd, MutableByteView into, std::uint64_t offset) override {
        return ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
    }
    ssize_t pwrite(int fd, ByteView from, std::uint64_t offset) override {
        return ::pwrite(fd, from.data(), from.size(), static_cast<off_t>(offset));
    }
    int ftruncate(int fd, std::uint64_t bytes) override { return ::ftruncate(fd, static_cast<off_t>(bytes)); }
    int mkdirat(int directory, const char* name, mode_t mode) override {
        return ::mkdirat(directory, name, mode);
    }
    int symlinkat(const char* text, int directory, const char* name) override {
        return ::symlinkat(text, directory, name);
    }
    int linkat(int from, const char* old_name, int to, const char* new_name) override {
        return ::linkat(from, old_name, to, new_name, 0);
    }
    int renameat(int from, const char* old_name, int to, const char* new_name) override {
        return ::renameat(from, old_name, to, new_name);
    }
    ssize_t read_link(int fd, char* text, std::size_t bytes) override {
        return ::readlinkat(fd, "", text, bytes);
    }
    int unlinkat(int directory, const char* name, int flags) override {
        return ::unlinkat(directory, name, flags);
    }

    int fchownat(int directory, const char* name, uid_t uid, gid_t gid, int flags) override {
        return ::fchownat(directory, name, uid, gid, flags);
    }
    int fchmodat(int directory, const char* name, mode_t mode) override {
        return ::fchmodat(directory, name, mode, 0);
    }
    int fchmod(int fd, mode_t mode) override {
        if (::fchmod(fd, mode) == 0) return 0;
        return errno == EBADF ? chmod(DescriptorName(fd).get(), mode) : -1;
    }
    int utimensat(int directory, const char* name, const timespec (&times)[2]) override {
        return ::utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW);
    }
    int futimens(int fd, const timespec (&times)[2]) override {
        if (::futimens(fd, times) == 0) return 0;
        return errno == EBADF ? ::utimensat(AT_FDCWD, DescriptorName(fd).get(), times, 0) : -1;
    }

    // The *xattr calls know neither O_PATH descriptors nor, before Linux 6.13, names beneath a directory.
    ssize_t list_attributes(int fd, char* names, std::size_t bytes) override {
        return listxattr(DescriptorName(fd).get(), names, bytes);
    }
    ssize_t get_attribute(int fd, const char* name, char* value, std::size_t bytes) override {
        return getxattr(DescriptorName(fd).get(), name, value, bytes);
    }
    int set_attribute(int fd, const char* name, std::string_view value) override {
        return setxattr(DescriptorName(fd).get(), name, value.data(), value.size(), 0);
    }
    int remove_attribute(int fd, const char* name) override {
        return removexattr(DescriptorName(fd).get(), name);
    }

    int fsync(int fd) override { return ::fsync(fd); }
    int syncfs(int fd) override { return ::syncfs(fd); }

    std::time_t now_s() override { return std::time(nullptr); }
};

int LinuxDisk::names_in(int directory, std::vector<std::string>& names) {
    const int fd = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -1;
    DIR* stream = fdopendir(fd);
    if (stream == nullptr) {
        ::close(fd);
        return -1;
    }
    while (const dirent* found = readdir(stream)) {
        std::string name = found->d_name;
        if (name != "." && name != "..") names.push_back(std::move(name));
    }
    closedir(stream);
    return 0;
}

}  // namespace

Disk& linux_disk() {
    static LinuxDisk disk;
    return disk;
}

}  // namespace longhaul::storage
