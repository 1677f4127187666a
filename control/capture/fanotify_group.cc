// fanotify_init, fanotify_mark, and open_by_handle_at to turn a directory's handle into its path of this moment.
// SPDX-License-Identifier: Apache-2.0
#include "control/capture/fanotify_group.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <fstream>
#include <optional>
#include <unordered_map>
#include <utility>

#include "control/capture/fanotify_events.h"
#include "dataplane/wire/manifest.h"

namespace longhaul::control {

namespace {

constexpr std::size_t kBufferBytes = 256u << 10;
constexpr std::uint64_t kCameOrWent = FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO;
constexpr std::uint64_t kMask = kCameOrWent | FAN_MODIFY | FAN_CLOSE_WRITE | FAN_ATTRIB | FAN_ONDIR;

// Others may change these without this kernel hearing of it.
constexpr std::array<std::pair<std::uint32_t, const char*>, 9> kSharedFileSystems{{
    {NFS_SUPER_MAGIC, "NFS"},
    {SMB_SUPER_MAGIC, "SMB"},
    {CIFS_SUPER_MAGIC, "SMB"},
    {SMB2_SUPER_MAGIC, "SMB"},
    {CEPH_SUPER_MAGIC, "CephFS"},
    {AFS_SUPER_MAGIC, "AFS"},
    {V9FS_MAGIC, "9P"},
    {FUSE_SUPER_MAGIC, "FUSE"},
    {0x0BD00BD0, "Lustre"},
}};

struct Handle {  // the kernel's header, and room for any handle behind it
    alignas(file_handle) std::array<unsigned char, sizeof(file_handle) + MAX_HANDLE_SZ> room{};

    file_handle* get() { return reinterpret_cast<file_handle*>(room.data()); }
    unsigned char* bytes() { return room.data() + sizeof(file_handle); }
};

Error no_events(const std::string& why) {
    return {ErrorCode::unavailable, why};
}

Error init_error(int code) {
    switch (code) {
        case EPERM:
            return no_events(
                "fanotify needs CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH: give them to longhaul-control");
        case EMFILE:
            return no_events(
                "no fanotify group is left: raise fs.fanotify.max_user_groups, or the limit of open files");
        case ENOSYS:
        case EINVAL:
            return no_events("this kernel has no fanotify that names directory entries: Linux 5.9 has it");
        default:
            return no_events(std::string("fanotify cannot be started: ") + std::strerror(code));
    }
}

Error mark_error(int code) {
    switch (code) {
        case EPERM:
            return init_error(code);
        case ENOSPC:
            return no_events("no fanotify mark is left: raise fs.fanotify.max_user_marks");
        case ENODEV:
        case EOPNOTSUPP:
        case EXDEV:
            return no_events(
                "this file system has no identity or no file handles that fanotify could report");
        default:
            return no_events(std::string("the file system cannot be watched: ") + std::strerror(code));
    }
}

RootIdentity identity_of(int root) {
    struct stat status {};
    if (fstat(root, &status) != 0) return {};
    return {status.st_dev, status.st_ino};
}

// Everything depends on handles leading back to their directories: tried once, on the root itself.
bool handles_open(int root) {
    Handle handle;
    handle.get()->handle_bytes = MAX_HANDLE_SZ;
    int mount = 0;
    if (name_to_handle_at(root, "", handle.get(), &mount, AT_EMPTY_PATH) != 0) return false;
    const Descriptor again(open_by_handle_at(root, handle.get(), O_PATH | O_CLOEXEC));
    return again.valid() && identity_of(again.get()) == identity_of(root);
}

const char* shared_file_system(int root) {
    struct statfs about {};
    if (fstatfs(root, &about) != 0) return nullptr;
    for (const auto& [magic, name] : kSharedFileSystems)
        if (static_cast<std::uint32_t>(about.f_type) == magic) return name;
    return nullptr;
}

// Where a descriptor's object stands now, as this process sees it.
std::optional<std::string> path_of(int fd) {
    std::string path(PATH_MAX, '\0');
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t length = readlink(link.c_str(), path.data(), path.size());
    if (length <= 0 || static_cast<std::size_t>(length) == path.size()) return std::nullopt;
    path.resize(static_cast<std::size_t>(length));
    return path;
}

// Directories of one batch by handle: looked up once, although each of many files in it brings an event.
class Directories {
  public:
    Directories(int root, const std::string& root_path)
        : root_(root), prefix_(root_path.size() == 1 ? std::string() : root_path) {}  // "/": everything

    // Beneath the root, "" the root itself. nullopt: not beneath it, or gone. What cannot be told is a loss.
    const std::optional<std::string>& find(std::int32_t type, ByteView bytes, std::string& lost) {
        std::string key(reinterpret_cast<const char*>(&type), sizeof type);
        key.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        const auto [found, fresh] = known_.try_emplace(std::move(key));
        if (fresh) found->second = look(type, bytes, lost);
        return found->second;
    }

  private:
    std::optional<std::string> look(std::int32_t type, ByteView bytes, std::string& lost) const {
        Handle handle;
        handle.get()->handle_bytes = static_cast<unsigned>(bytes.size());
        handle.get()->handle_type = type;
        std::copy(bytes.begin(), bytes.end(), handle.bytes());
        const Descriptor fd(open_by_handle_at(root_, handle.get(), O_PATH | O_CLOEXEC));
        if (!fd.valid()) {
            // Gone: so is everything in it, and the directory that it went from says so.
            if (errno != ESTALE && errno != ENOENT && lost.empty())
                lost = std::string("a directory that events name cannot be opened: ") + std::strerror(errno);
            return std::nullopt;
        }
        struct stat status {};
        if (fstat(fd.get(), &status) != 0 || status.st_nlink == 0) return std::nullopt;
        auto path = path_of(fd.get());
        if (!path || !path->starts_with(prefix_)) return std::nullopt;
        if (path->size() == prefix_.size()) return std::string();
        if ((*path)[prefix_.size()] != '/') return std::nullopt;
        return path->substr(prefix_.size() + 1);
    }

    const int root_;
    std::string prefix_;
    std::unordered_map<std::string, std::optional<std::string>> known_;
};

std::string joined(const std::string& directory, std::string_view name) {
    std::string path = directory;
    if (name == ".") return path;
    if (!path.empty()) path += '/';
    path += name;
    return path;
}

}  // namespace

FanotifyGroup::FanotifyGroup(std::string directory, RootIdentity root, Descriptor group)
    : directory_(std::move(directory)), root_(root), group_(std::move(group)), buffer_(kBufferBytes) {}

Result<std::unique_ptr<FanotifyGroup>> FanotifyGroup::open(const std::string& directory) {
    const Descriptor root(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root.valid()) return no_events(std::string("the source cannot be opened: ") + std::strerror(errno));
    if (const char* name = shared_file_system(root.get()))
        return no_events(std::string("what other machines change on ") + name + " brings no events here");
    Descriptor group(fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_DFID_NAME,
                                   O_RDONLY | O_CLOEXEC));
    if (!group.valid()) return init_error(errno);
    // By the descriptor: what is marked is what was opened, whatever is mounted there meanwhile.
    if (fanotify_mark(group.get(), FAN_MARK_ADD | FAN_MARK_FILESYSTEM, kMask, root.get(), nullptr) != 0)
        return mark_error(errno);
    if (!handles_open(root.get()))
        return no_events(
            "file handles of this file system cannot be opened: it is stacked or not local, or "
            "CAP_DAC_READ_SEARCH is missing");
    std::unique_ptr<FanotifyGroup> made(
        new FanotifyGroup(directory, identity_of(root.get()), std::move(group)));
    if (!made->marked()) return no_events("/proc does not show the mark, so its end would go unnoticed");
    return made;
}

bool FanotifyGroup::marked() const {
    struct stat status {};
    if (stat(directory_.c_str(), &status) != 0 || RootIdentity{status.st_dev, status.st_ino} != root_)
        return false;
    std::ifstream about("/proc/self/fdinfo/" + std::to_string(group_.get()));
    for (std::string line; std::getline(about, line);)
        if (line.starts_with("fanotify sdev:")) return true;
    return false;
}

HeardBatch FanotifyGroup::read() {
    HeardBatch batch;
    const ssize_t length = ::read(group_.get(), buffer_.data(), buffer_.size());
    if (length <= 0) {
        if (length < 0 && errno != EAGAIN && errno != EINTR)
            batch.lost = std::string("events cannot be read: ") + std::strerror(errno);
        return batch;
    }
    const auto decoded = decode_fanotify({buffer_.data(), static_cast<std::size_t>(length)});
    batch.more = true;
    batch.events = decoded.events.size() + decoded.nameless;
    if (decoded.overflowed)
        batch.lost = "the kernel's queue of events overflowed (fs.fanotify.max_queued_events)";
    if (decoded.nameless > 0)
        batch.lost = "changes came without a name, as from an NFS server of this machine";
    if (decoded.damaged) batch.lost = "the kernel's events could not be decoded";

    const Descriptor root(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const auto root_path =
        root.valid() && identity_of(root.get()) == root_ ? path_of(root.get()) : std::nullopt;
    if (!root_path) {
        batch.lost = "the source is not the directory any more that was watched";
        return batch;
    }
    Directories directories(root.get(), *root_path);
    for (const auto& event : decoded.events) {
        const auto& directory = directories.find(event.handle_type, event.handle, batch.lost);
        const std::string path = directory ? joined(*directory, event.name) : std::string();
        if (!wire::path_is_safe(path)) {  // elsewhere, the root itself, or what no sweep replicates either
            ++batch.nearby;
            continue;
        }
        const bool of_directory = (event.mask & FAN_ONDIR) != 0;
        const bool took_content = (event.mask & (FAN_MOVED_FROM | FAN_MOVED_TO | FAN_DELETE)) != 0;
        const bool at_rest = (event.mask & (FAN_CREATE | FAN_MODIFY)) == 0 ||
                             (event.mask & (FAN_CLOSE_WRITE | FAN_MOVED_TO)) != 0;
        batch.paths.push_back({path, of_directory && took_content, !of_directory && !at_rest});
        // Its own mtime has changed, which is no event of its own.
        if ((event.mask & kCameOrWent) != 0 && !directory->empty())
            batch.paths.push_back({*directory, false, false});
    }
    return batch;
}

}  // namespace longhaul::control
