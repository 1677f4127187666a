// The *xattr calls know neither O_PATH descriptors nor names beneath a directory (before Linux 6.13): a descriptor's name
// in /proc reaches the same inode without resolving a path again.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/attributes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <string>
#include <vector>

#include "dataplane/wire/attributes.h"
#include "drivers/storage/errors.h"
#include "drivers/storage/store.h"

namespace longhaul::storage {

namespace {

constexpr std::size_t kListBytesUsual = 1024;
constexpr std::size_t kListBytesMax = 64u << 10;  // Linux: XATTR_LIST_MAX
constexpr const char* kDefaultAcl = "system.posix_acl_default";

using ProcName = std::array<char, 40>;
ProcName proc_name(int fd) noexcept {
    ProcName name{};
    std::snprintf(name.data(), name.size(), "/proc/self/fd/%d", fd);
    return name;
}

int refusal(int error_number) noexcept {
    switch (error_number) {
        case EOPNOTSUPP:
        case ENOSPC:  // beside the file there is room enough: what is full is the inode's own
        case E2BIG:
        case ERANGE:
        case EINVAL:  // no such id in this user namespace, or an ACL that this kernel does not understand
            return kAttributeRefused;
        default:
            return error_number;
    }
}

// The names that travel of what the object has now.
int names_of(const char* object, std::vector<std::string>& names) {
    std::string list(kListBytesUsual, '\0');
    ssize_t length = listxattr(object, list.data(), list.size());
    if (length < 0 && errno == ERANGE) {
        list.resize(kListBytesMax);
        length = listxattr(object, list.data(), list.size());
    }
    if (length < 0) return errno == EOPNOTSUPP ? 0 : errno;
    for (std::size_t from = 0; from < static_cast<std::size_t>(length);) {
        const std::string name(list.c_str() + from);
        if (wire::attribute_travels(name, true)) names.push_back(name);
        from += name.size() + 1;
    }
    return 0;
}

// A file that its own mode protects from its owner: the entry's mode is set later.
bool make_writable(const char* object) noexcept {
    struct stat found {};
    if (stat(object, &found) != 0 || (found.st_mode & S_IWUSR) != 0) return false;
    return chmod(object, (found.st_mode & 07777) | S_IWUSR) == 0;
}

int set_one(const char* object, const wire::Attribute& attribute) {
    const auto set = [&] {
        return setxattr(object, attribute.name.c_str(), attribute.value.data(), attribute.value.size(), 0);
    };
    if (set() == 0) return 0;
    if ((errno == EACCES || errno == EPERM) && make_writable(object) && set() == 0) return 0;
    return refusal(errno);
}

int remove_one(const char* object, const char* name) {
    if (removexattr(object, name) == 0 || errno == ENODATA) return 0;
    const bool protected_by_mode = errno == EACCES || errno == EPERM;
    if (protected_by_mode && make_writable(object) && removexattr(object, name) == 0) return 0;
    return errno;
}

}  // namespace

int set_attributes(int fd, const wire::Entry& entry) noexcept {
    const ProcName object = proc_name(fd);
    const auto wanted = wire::read_attributes(entry.attributes);
    std::vector<std::string> present;
    if (const int error = names_of(object.data(), present); error != 0) return error;
    for (const std::string& name : present) {
        const bool stays =
            std::any_of(wanted.begin(), wanted.end(), [&](const auto& one) { return one.name == name; });
        if (stays) continue;
        if (const int error = remove_one(object.data(), name.c_str()); error != 0) return error;
    }
    for (const auto& attribute : wanted)
        if (const int error = set_one(object.data(), attribute); error != 0) return error;
    return 0;
}

int set_staged_attributes(int directory, const char* name, const wire::Entry& entry) noexcept {
    if (entry.attributes.empty()) return 0;
    const UniqueFd file(openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!file) return errno;
    return set_attributes(file.get(), entry);
}

void drop_default_acl(int directory) noexcept {
    (void)removexattr(proc_name(directory).data(),
                      kDefaultAcl);  // none, or no ACLs at all: nothing to inherit
}

}  // namespace longhaul::storage
