// Of a descriptor by its name in /proc, which an O_PATH descriptor has as well; of names, from where the thread is.
// SPDX-License-Identifier: Apache-2.0
#include "control/capture/attributes.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "dataplane/base/assert.h"
#include "dataplane/wire/attributes.h"

namespace longhaul::control {

namespace {

constexpr std::size_t kUsualBytes = 1024;
constexpr std::size_t kMostBytes = 64u << 10;  // Linux: XATTR_LIST_MAX, XATTR_SIZE_MAX
static_assert(kMostBytes == wire::kAttributeValueMax);

// What `call` puts into a buffer, with the largest one when the usual one is too small. False: errno says why.
template <typename Call>
bool read_whole(const Call& call, std::string& out) {
    for (const std::size_t bytes : {kUsualBytes, kMostBytes}) {
        out.resize(bytes);
        const ssize_t length = call(out.data(), out.size());
        if (length >= 0) {
            out.resize(static_cast<std::size_t>(length));
            return true;
        }
        if (errno != ERANGE) return false;
    }
    return false;
}

Error unreadable(const char* what) {
    const bool gone = errno == ENOENT || errno == ENOTDIR;
    return {gone ? ErrorCode::not_found : ErrorCode::io_error,
            std::string(what) + " cannot be read (" + std::strerror(errno) + ")"};
}

// `List` and `get` are of the kind that follows symlinks, or of the kind that does not.
template <typename List, typename Get>
Result<std::string> attributes_by(const char* object, bool directory, List list, Get get) {
    std::string names;
    if (!read_whole([&](char* to, std::size_t room) { return list(object, to, room); }, names)) {
        if (errno == EOPNOTSUPP) return std::string();
        return unreadable("the list of its extended attributes");
    }
    std::vector<wire::Attribute> found;
    for (std::size_t from = 0; from < names.size();) {
        wire::Attribute attribute;
        attribute.name = names.c_str() + from;
        from += attribute.name.size() + 1;
        if (!wire::attribute_travels(attribute.name, directory)) continue;
        const auto value = [&](char* to, std::size_t room) {
            return get(object, attribute.name.c_str(), to, room);
        };
        if (!read_whole(value, attribute.value)) {
            if (errno == ENODATA) continue;  // taken away since it was listed: the ctime tells the next sweep
            return unreadable("an extended attribute of it");
        }
        found.push_back(std::move(attribute));
    }
    std::string written = wire::write_attributes(std::move(found));
    if (written.size() > wire::kAttributesBytesMax)
        return Error{ErrorCode::invalid_argument,
                     "its extended attributes are longer than 128 KiB together; remove some"};
    return written;
}

std::string name_in_proc(int fd) {
    return "/proc/self/fd/" + std::to_string(fd);
}

}  // namespace

Result<std::string> attributes_of(int fd, bool directory) {
    return attributes_by(name_in_proc(fd).c_str(), directory, &listxattr, &getxattr);
}

AttributeReader::AttributeReader() : before_(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)) {
    if (before_.valid() && unshare(CLONE_FS) != 0) before_ = Descriptor();
}

AttributeReader::~AttributeReader() {
    leave();
}

void AttributeReader::enter(int directory) {
    entered_ = directory;
    inside_ = before_.valid() && fchdir(directory) == 0;
}

void AttributeReader::leave() {
    entered_ = -1;
    if (std::exchange(inside_, false)) LH_ASSERT(fchdir(before_.get()) == 0 || chdir("/") == 0);
}

Result<std::string> AttributeReader::read(const std::string& name, bool directory) const {
    const std::string object = inside_ ? name : name_in_proc(entered_) + "/" + name;
    return attributes_by(object.c_str(), directory, &llistxattr, &lgetxattr);
}

}  // namespace longhaul::control
