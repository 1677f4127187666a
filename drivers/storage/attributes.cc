// Which attributes go, which come, and what stands in their way.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/attributes.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "dataplane/wire/attributes.h"
#include "drivers/storage/errors.h"
#include "drivers/storage/store.h"

namespace longhaul::storage {

namespace {

constexpr std::size_t kListBytesUsual = 1024;
constexpr std::size_t kValueBytesUsual = 1024;
constexpr std::size_t kListBytesMax = 64u << 10;  // Linux: XATTR_LIST_MAX
constexpr const char* kDefaultAcl = "system.posix_acl_default";

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
int names_of(Disk& disk, int fd, std::vector<std::string>& names) {
    std::string list(kListBytesUsual, '\0');
    ssize_t length = disk.list_attributes(fd, list.data(), list.size());
    if (length < 0 && errno == ERANGE) {
        list.resize(kListBytesMax);
        length = disk.list_attributes(fd, list.data(), list.size());
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
bool make_writable(Disk& disk, int fd) {
    struct stat found {};
    if (disk.fstat(fd, found) != 0 || (found.st_mode & S_IWUSR) != 0) return false;
    return disk.fchmod(fd, (found.st_mode & 07777) | S_IWUSR) == 0;
}

int set_one(Disk& disk, int fd, const wire::Attribute& attribute) {
    const auto set = [&] { return disk.set_attribute(fd, attribute.name.c_str(), attribute.value); };
    if (set() == 0) return 0;
    if ((errno == EACCES || errno == EPERM) && make_writable(disk, fd) && set() == 0) return 0;
    return refusal(errno);
}

int remove_one(Disk& disk, int fd, const char* name) {
    if (disk.remove_attribute(fd, name) == 0 || errno == ENODATA) return 0;
    const bool protected_by_mode = errno == EACCES || errno == EPERM;
    if (protected_by_mode && make_writable(disk, fd) && disk.remove_attribute(fd, name) == 0) return 0;
    return errno;
}

// Below 0: errno says why; ENODATA: it was taken away since it was listed.
ssize_t read_one(Disk& disk, int fd, wire::Attribute& attribute) {
    for (const std::size_t bytes : {kValueBytesUsual, wire::kAttributeValueMax}) {
        attribute.value.resize(bytes);
        const ssize_t length =
            disk.get_attribute(fd, attribute.name.c_str(), attribute.value.data(), attribute.value.size());
        if (length >= 0) attribute.value.resize(static_cast<std::size_t>(length));
        if (length >= 0 || errno != ERANGE) return length;
    }
    return -1;
}

}  // namespace

int read_attributes(Disk& disk, int fd, std::string& written) {
    std::vector<std::string> names;
    if (const int error = names_of(disk, fd, names); error != 0) return error;
    std::vector<wire::Attribute> found;
    for (std::string& name : names) {
        wire::Attribute attribute{std::move(name), {}};
        if (read_one(disk, fd, attribute) >= 0)
            found.push_back(std::move(attribute));
        else if (errno != ENODATA)
            return errno;
    }
    written = wire::write_attributes(std::move(found));
    return 0;
}

int set_attributes(Disk& disk, int fd, const wire::Entry& entry) noexcept {
    const auto wanted = wire::read_attributes(entry.attributes);
    std::vector<std::string> present;
    if (const int error = names_of(disk, fd, present); error != 0) return error;
    for (const std::string& name : present) {
        const bool stays =
            std::any_of(wanted.begin(), wanted.end(), [&](const auto& one) { return one.name == name; });
        if (stays) continue;
        if (const int error = remove_one(disk, fd, name.c_str()); error != 0) return error;
    }
    for (const auto& attribute : wanted)
        if (const int error = set_one(disk, fd, attribute); error != 0) return error;
    return 0;
}

int set_staged_attributes(Disk& disk, int directory, const char* name, const wire::Entry& entry) noexcept {
    if (entry.attributes.empty()) return 0;
    const int fd = open_beneath(disk, directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return -fd;
    const UniqueFd file(disk, fd);
    return set_attributes(disk, fd, entry);
}

void drop_default_acl(Disk& disk, int directory) noexcept {
    (void)disk.remove_attribute(directory, kDefaultAcl);  // none, or no ACLs at all: nothing to inherit
}

}  // namespace longhaul::storage
