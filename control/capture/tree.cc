// openat2 beneath the root for every look, so that no symlink leads the eye astray.
// SPDX-License-Identifier: Apache-2.0
#include "control/capture/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "control/capture/attributes.h"
#include "control/capture/holes.h"
#include "dataplane/wire/attributes.h"

namespace longhaul::control {

std::int64_t nanoseconds(const timespec& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

namespace {

constexpr std::uint64_t kStatBlock = 512;  // stat(2): the unit of st_blocks

int open_beneath(int root, const char* path, std::uint64_t flags) {
    open_how how{};
    how.flags = flags | O_CLOEXEC | O_NOFOLLOW;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    return static_cast<int>(syscall(SYS_openat2, root, path, &how, sizeof how));
}

int open_directory(int root, const std::string& directory) {
    return open_beneath(root, directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY);
}

bool means_absent(int code) {
    return code == ENOENT || code == ENOTDIR || code == ELOOP;
}

std::int64_t nanoseconds(const statx_timestamp& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// `name` empty: what the descriptor itself is.
bool look_without_following(int directory, const char* name, struct statx& status) {
    const int flags = AT_SYMLINK_NOFOLLOW | (*name == '\0' ? AT_EMPTY_PATH : 0);
    return statx(directory, name, flags, STATX_BASIC_STATS | STATX_BTIME, &status) == 0;
}

bool is_supported(const struct statx& status) {
    return S_ISREG(status.stx_mode) || S_ISDIR(status.stx_mode) || S_ISLNK(status.stx_mode);
}

std::uint64_t device_of(const struct statx& status) {
    return makedev(status.stx_dev_major, status.stx_dev_minor);
}

Observed observed_from(const struct statx& status) {
    Observed now;
    const bool regular = S_ISREG(status.stx_mode);
    now.print.kind = S_ISDIR(status.stx_mode)   ? ObjectKind::directory
                     : S_ISLNK(status.stx_mode) ? ObjectKind::symlink
                                                : ObjectKind::file;
    now.print.size = regular ? status.stx_size : 0;
    now.print.mtime_ns = nanoseconds(status.stx_mtime);
    now.print.ctime_ns = nanoseconds(status.stx_ctime);
    now.print.inode = status.stx_ino;
    now.print.mode = status.stx_mode & 07777;
    now.print.uid = status.stx_uid;
    now.print.gid = status.stx_gid;
    now.sparse = status.stx_blocks * kStatBlock < now.print.size;
    const bool born_known = (status.stx_mask & STATX_BTIME) != 0;
    if (born_known && S_ISDIR(status.stx_mode)) now.born_ns = nanoseconds(status.stx_btime);
    if (!regular) return now;
    if (born_known) now.print.birth_ns = nanoseconds(status.stx_btime);
    now.print.names = status.stx_nlink;
    now.racy = std::abs(file_clock() - now.print.ctime_ns) < kRacyNs;
    return now;
}

// The text of a symlink; nullopt: it has changed under us or cannot be read.
std::optional<std::string> link_text(int directory, const char* name) {
    std::string text(4096, '\0');
    const ssize_t length = readlinkat(directory, name, text.data(), text.size());
    if (length < 0 || static_cast<std::size_t>(length) == text.size()) return std::nullopt;
    text.resize(static_cast<std::size_t>(length));
    return text;
}

void take_link(int directory, const char* name, Listed& entry) {
    auto text = link_text(directory, name);
    entry.unreadable_link = !text;
    if (text) entry.now.link = std::move(*text);
}

// Everything of an entry but its name and a symlink's text.
Listed listed_from(const struct statx& status, std::uint64_t root_device) {
    Listed entry;
    entry.now = observed_from(status);
    entry.unsupported = !is_supported(status);
    entry.foreign = S_ISDIR(status.stx_mode) && device_of(status) != root_device;
    return entry;
}

bool may_have_attributes(const Observed& now) {
    return now.print.kind != ObjectKind::symlink;  // they have none that travel
}

Result<void> add_attributes(Result<std::string> found, const std::string& path, Observed& now) {
    const bool directory = now.print.kind == ObjectKind::directory;
    if (!found)
        return Error{found.error().code,
                     "object " + shown_path(path) + " cannot be replicated: " + found.error().text};
    now.attributes = std::move(found).value();
    now.print.attributes = wire::attributes_digest(now.attributes);
    // The next attribute may leave the same ctime: whoever compares with this later reads them again.
    if (directory && std::abs(file_clock() - now.print.ctime_ns) < kRacyNs) now.racy = true;
    return {};
}

// False: the entry vanished between reading its name and looking at it.
bool look_at_name(int directory, std::uint64_t root_device, Listed& entry) {
    struct statx status {};
    if (!look_without_following(directory, entry.name.c_str(), status)) return false;
    std::string name = std::move(entry.name);
    entry = listed_from(status, root_device);
    entry.name = std::move(name);
    if (S_ISLNK(status.stx_mode)) take_link(directory, entry.name.c_str(), entry);
    return true;
}

}  // namespace

// The clock that file systems stamp with; the injected clock of Core is about watermarks, not about files.
std::int64_t file_clock() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return nanoseconds(now);
}

Result<Tree> Tree::open(const std::string& root) {
    Descriptor fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat status {};
    if (!fd.valid() || fstat(fd.get(), &status) != 0)
        return Error{ErrorCode::unavailable, "source directory " + shown_path(root) +
                                                 " cannot be opened: " + std::strerror(errno) +
                                                 "; mount it, or correct its permissions"};
    const RootIdentity identity{status.st_dev, status.st_ino};
    return Tree(std::move(fd), identity, nanoseconds(status.st_mtim));
}

Result<std::optional<std::vector<std::string>>> Tree::list(const std::string& directory) const {
    using Names = std::optional<std::vector<std::string>>;
    const auto failed = [&] {
        return Error{ErrorCode::io_error, "directory " + shown_path(directory) + ": " + std::strerror(errno)};
    };
    const int fd = open_directory(root_.get(), directory);
    if (fd < 0) {
        if (means_absent(errno) && !directory.empty()) return Names{};
        return failed();
    }
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(fd), &closedir);
    if (!stream) {
        const int error = errno;
        close(fd);
        errno = error;
        return failed();
    }
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* next = readdir(stream.get())) {
        const std::string_view name = next->d_name;
        if (name == "." || name == ".." || (directory.empty() && name == ".longhaul")) continue;
        names.emplace_back(name);
        errno = 0;
    }
    if (errno != 0) return failed();
    std::sort(names.begin(), names.end());
    return Names(std::move(names));
}

Result<Descriptor> Tree::enter(const std::string& directory) const {
    Descriptor fd(open_directory(root_.get(), directory));
    if (fd.valid() || (means_absent(errno) && !directory.empty())) return fd;
    return Error{ErrorCode::io_error, "directory " + shown_path(directory) + ": " + std::strerror(errno)};
}

Result<std::vector<Listed>> Tree::look_at(const Descriptor& entered, const std::string& directory,
                                          std::span<const std::string> names) const {
    std::vector<Listed> entries;
    entries.reserve(names.size());
    for (const std::string& name : names) {
        Listed entry;
        entry.name = name;
        errno = 0;
        if (look_at_name(entered.get(), identity_.device, entry)) {
            entries.push_back(std::move(entry));
        } else if (!means_absent(errno)) {
            return Error{ErrorCode::io_error,
                         shown_path(directory + "/" + name) + ": " + std::strerror(errno)};
        }
    }
    return entries;
}

Result<std::optional<Listed>> Tree::find(const std::string& path) const {
    using Found = std::optional<Listed>;
    const Descriptor fd(open_beneath(root_.get(), path.c_str(), O_PATH));
    struct statx status {};
    if (!fd.valid() || !look_without_following(fd.get(), "", status)) {
        if (means_absent(errno)) return Found{};
        return Error{ErrorCode::io_error, shown_path(path) + ": " + std::strerror(errno)};
    }
    Listed entry = listed_from(status, identity_.device);
    if (device_of(status) != identity_.device && !is_on(std::string(parent_of(path)), identity_.device))
        return Error{ErrorCode::io_error, shown_path(path) + " lies on another file system"};
    if (S_ISLNK(status.stx_mode)) take_link(fd.get(), "", entry);
    return Found(std::move(entry));
}

Result<std::optional<Observed>> Tree::look(const std::string& path) const {
    using Found = std::optional<Observed>;
    auto entry = find(path);
    if (!entry) return entry.error();
    if (!entry.value() || entry.value()->unsupported) return Found{};
    if (entry.value()->unreadable_link)
        return Error{ErrorCode::io_error, shown_path(path) + ": the symlink's text cannot be read"};
    Observed now = std::move(entry.value()->now);
    if (may_have_attributes(now)) {
        const Descriptor fd(open_beneath(root_.get(), path.c_str(), O_PATH));
        if (!fd.valid()) {
            if (means_absent(errno)) return Found{};
            return Error{ErrorCode::io_error, shown_path(path) + ": " + std::strerror(errno)};
        }
        const bool directory = now.print.kind == ObjectKind::directory;
        if (auto read = add_attributes(attributes_of(fd.get(), directory), path, now); !read)
            return read.error();
    }
    look_at_holes(path, now);
    return Found(std::move(now));
}

// Whether a directory (the root, if empty) lies on that device.
bool Tree::is_on(const std::string& directory, std::uint64_t device) const {
    if (directory.empty()) return identity_.device == device;
    const Descriptor fd(open_beneath(root_.get(), directory.c_str(), O_PATH));
    struct stat status {};
    return fd.valid() && fstat(fd.get(), &status) == 0 && status.st_dev == device;
}

void Tree::look_at_holes(const std::string& path, Observed& now) const {
    if (!now.sparse) return;
    const Descriptor fd(open_beneath(root_.get(), path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY));
    if (fd.valid()) now.holes = holes_of(fd.get(), now.print);
}

Result<void> Tree::look_at_attributes(const AttributeReader& directory, const std::string& path,
                                      Observed& now) const {
    if (!may_have_attributes(now)) return {};
    auto found = directory.read(path.substr(path.rfind('/') + 1), now.print.kind == ObjectKind::directory);
    // Vanished or replaced since it was listed: that happened after this sweep began, the next one will tell.
    if (!found && found.error().code == ErrorCode::not_found) return {};
    return add_attributes(std::move(found), path, now);
}

namespace {

// Length of the UTF-8 sequence at the front of `text` (RFC 3629: no overlong forms, no surrogates), 0 if it
// is none.
std::size_t utf8_length(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned lead = byte(0);
    if (lead < 0x80) return 1;
    const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
    for (std::size_t i = 1; i < length; ++i)
        if ((byte(i) & 0xc0) != 0x80) return 0;
    const unsigned second = byte(1);
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f)) return 0;
    if ((lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f)) return 0;
    return length;
}

}  // namespace

std::string shown_path(std::string_view path) {
    static constexpr char kHex[] = "0123456789abcdef";
    std::string shown;
    for (std::size_t at = 0; at < path.size();) {
        const std::size_t length = utf8_length(path.substr(at));
        const auto byte = static_cast<unsigned char>(path[at]);
        if (length == 0 || byte < 0x20 || byte == 0x7f || byte == '\\') {
            shown += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
            ++at;
        } else {
            shown.append(path, at, length);
            at += length;
        }
    }
    return shown;
}

}  // namespace longhaul::control
