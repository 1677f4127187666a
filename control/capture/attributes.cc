// Read by the descriptor's name in /proc, which an O_PATH descriptor has as well: no path is resolved twice.
// SPDX-License-Identifier: Apache-2.0
#include "control/capture/attributes.h"

#include <sys/xattr.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

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
    return {ErrorCode::io_error, std::string(what) + " cannot be read (" + std::strerror(errno) + ")"};
}

}  // namespace

Result<std::string> attributes_of(int fd, bool directory) {
    std::array<char, 40> object{};
    std::snprintf(object.data(), object.size(), "/proc/self/fd/%d", fd);
    std::string names;
    if (!read_whole([&](char* to, std::size_t room) { return listxattr(object.data(), to, room); }, names)) {
        if (errno == EOPNOTSUPP) return std::string();
        return unreadable("the list of its extended attributes");
    }
    std::vector<wire::Attribute> found;
    for (std::size_t from = 0; from < names.size();) {
        wire::Attribute attribute;
        attribute.name = names.c_str() + from;
        from += attribute.name.size() + 1;
        if (!wire::attribute_travels(attribute.name, directory)) continue;
        const auto get = [&](char* to, std::size_t room) {
            return getxattr(object.data(), attribute.name.c_str(), to, room);
        };
        if (!read_whole(get, attribute.value)) {
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

}  // namespace longhaul::control
