// The calls: resolution, names, attributes and content, as Linux answers them.
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/storage/simulated_disk.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "dataplane/base/assert.h"

namespace longhaul::storage::sim {

namespace {

constexpr std::int64_t kNanosecondsInSecond = 1'000'000'000;
constexpr std::int64_t kCallNs = 1000;  // so that no two changes have the same date
constexpr std::size_t kNameBytesMax = 255;

timespec to_timespec(std::int64_t ns) {
    std::int64_t seconds = ns / kNanosecondsInSecond;
    std::int64_t rest = ns % kNanosecondsInSecond;
    if (rest < 0) {
        rest += kNanosecondsInSecond;
        --seconds;
    }
    return {static_cast<time_t>(seconds), static_cast<long>(rest)};
}

mode_t type_of(Inode::Kind kind) {
    if (kind == Inode::Kind::directory) return S_IFDIR;
    return kind == Inode::Kind::symlink ? S_IFLNK : S_IFREG;
}

void describe(InodeNumber number, const Inode& inode, struct stat& found) {
    found = {};
    found.st_dev = 1;
    found.st_ino = number;
    found.st_mode = type_of(inode.kind) | inode.attributes.mode;
    found.st_uid = inode.attributes.uid;
    found.st_gid = inode.attributes.gid;
    found.st_size = static_cast<off_t>(inode.bytes.size());
    found.st_mtim = to_timespec(inode.attributes.mtime_ns);
    found.st_ctim = to_timespec(inode.attributes.ctime_ns);
}

}  // namespace

const Inode* find(const Image& image, std::string_view path) {
    const Inode* at = &image.at(kRootInode);
    while (!path.empty()) {
        const std::size_t slash = std::min(path.find('/'), path.size());
        const auto next = at->names.find(std::string(path.substr(0, slash)));
        if (next == at->names.end()) return nullptr;
        at = &image.at(next->second);
        path.remove_prefix(std::min(slash + 1, path.size()));
    }
    return at;
}

Image SimulatedDisk::empty_image() {
    Inode root;
    root.kind = Inode::Kind::directory;
    root.attributes.mode = 0755;
    return {{kRootInode, root}};
}

SimulatedDisk::SimulatedDisk(Journal journal, Image medium)
    : journal_(journal), seen_(medium), medium_(std::move(medium)), next_inode_(seen_.rbegin()->first + 1) {}

int SimulatedDisk::refused(int error) {
    errno = error;
    return -1;
}

int SimulatedDisk::begin_call(bool changes) {
    now_ns_ += kCallNs;
    const Call call{calls_++, changes};
    return fault ? fault(call) : 0;
}

int SimulatedDisk::begin_change() {
    if (before_change) before_change();
    return begin_call(true);
}

InodeNumber SimulatedDisk::inode_of(int fd) const {
    const auto found = open_.find(fd);
    LH_ASSERT(found != open_.end());  // a descriptor that was closed is a bug of the caller, not of the disk
    return found->second.inode;
}

InodeNumber SimulatedDisk::lookup(InodeNumber directory, const std::string& name) const {
    const auto& names = seen_.at(directory).names;
    const auto found = names.find(name);
    return found == names.end() ? 0 : found->second;
}

// What a *at() call is given: a name, or a path of several.
SimulatedDisk::Place SimulatedDisk::place_of(int directory, std::string_view path) const {
    Place place{inode_of(directory), {}};
    for (std::size_t slash = path.find('/'); slash != path.npos; slash = path.find('/')) {
        place.directory = lookup(place.directory, std::string(path.substr(0, slash)));
        path.remove_prefix(slash + 1);
        if (place.directory == 0 || seen_.at(place.directory).kind != Inode::Kind::directory) return {};
    }
    place.name = path;
    return place;
}

InodeNumber SimulatedDisk::lookup(const Place& place) const {
    return place.directory == 0 ? 0 : lookup(place.directory, place.name);
}

int SimulatedDisk::new_descriptor(InodeNumber inode, int flags) {
    open_[next_descriptor_] = {inode, flags, false};
    return next_descriptor_++;
}

int SimulatedDisk::open(const char* path, int flags) {
    if (const int error = begin_call(); error != 0) return refused(error);
    const std::string_view whole = path;
    InodeNumber inode = kRootInode;
    if (whole != "/") inode = lookup(kRootInode, std::string(whole.substr(1)));
    if (inode == 0) return refused(ENOENT);
    return new_descriptor(inode, flags);
}

int SimulatedDisk::openat2(int directory, const char* path, const open_how& how) {
    const bool creates = how.flags & O_CREAT;
    if (const int error = creates ? begin_change() : begin_call(); error != 0) return refused(error);
    InodeNumber at = inode_of(directory);
    std::string_view rest = path;
    if (rest == ".") rest = {};
    while (!rest.empty()) {
        const std::size_t slash = rest.find('/');
        const std::string name(rest.substr(0, slash));
        const bool last = slash == std::string_view::npos;
        if (seen_.at(at).kind != Inode::Kind::directory) return refused(ENOTDIR);
        if (name == "..") return refused(EXDEV);
        if (name.size() > kNameBytesMax) return refused(ENAMETOOLONG);
        InodeNumber next = lookup(at, name);
        if (next == 0 && last && creates)
            next = create(at, name.c_str(), Inode::Kind::file, static_cast<mode_t>(how.mode), {});
        if (next == 0) return refused(ENOENT);
        if (seen_.at(next).kind == Inode::Kind::symlink && !(last && (how.flags & O_PATH)))
            return refused(ELOOP);
        at = next;
        rest.remove_prefix(last ? rest.size() : slash + 1);
    }
    const bool is_directory = seen_.at(at).kind == Inode::Kind::directory;
    if ((how.flags & O_DIRECTORY) && !is_directory) return refused(ENOTDIR);
    if ((how.flags & O_ACCMODE) != O_RDONLY && is_directory) return refused(EISDIR);
    return new_descriptor(at, static_cast<int>(how.flags));
}

void SimulatedDisk::close(int fd) {
    LH_ASSERT(open_.erase(fd) == 1);
}
int SimulatedDisk::get_flags(int fd) {
    return open_.at(fd).flags;
}
int SimulatedDisk::set_flags(int fd, int flags) {
    open_.at(fd).flags = flags;
    return 0;
}
int SimulatedDisk::flock(int fd, int) {
    (void)inode_of(fd);
    return 0;
}

int SimulatedDisk::fstat(int fd, struct stat& found) {
    if (const int error = begin_call(); error != 0) return refused(error);
    describe(inode_of(fd), seen_.at(inode_of(fd)), found);
    return 0;
}

int SimulatedDisk::fstatat(int directory, const char* name, struct stat& found) {
    if (const int error = begin_call(); error != 0) return refused(error);
    const InodeNumber inode = lookup(place_of(directory, name));
    if (inode == 0) return refused(ENOENT);
    describe(inode, seen_.at(inode), found);
    return 0;
}

int SimulatedDisk::names_in(int directory, std::vector<std::string>& names) {
    if (const int error = begin_call(); error != 0) return refused(error);
    for (const auto& [name, inode] : seen_.at(inode_of(directory)).names)
        names.push_back(name);
    return 0;
}

InodeNumber SimulatedDisk::create(InodeNumber directory, const char* name, Inode::Kind kind, mode_t mode,
                                  std::string bytes) {
    const InodeNumber inode = next_inode_++;
    Inode made;
    made.kind = kind;
    made.attributes = {mode, 0, 0, now_ns_, now_ns_, {}};
    made.bytes = std::move(bytes);
    seen_[inode] = made;
    medium_[inode] = made;  // found by nobody until its name is on the medium too
    Change link;
    link.kind = Change::Kind::link;
    link.inode = inode;
    link.directory = directory;
    link.name = name;
    change(std::move(link));
    return inode;
}

void SimulatedDisk::change(Change made) {
    made.when_ns = now_ns_;
    apply(seen_, made);
    pending_.push_back(std::move(made));
}

int SimulatedDisk::mkdirat(int directory, const char* name, mode_t mode) {
    if (const int error = begin_change(); error != 0) return refused(error);
    const Place place = place_of(directory, name);
    if (place.directory == 0) return refused(ENOENT);
    if (lookup(place) != 0) return refused(EEXIST);
    create(place.directory, place.name.c_str(), Inode::Kind::directory, mode, {});
    return 0;
}

ssize_t SimulatedDisk::read_link(int fd, char* text, std::size_t bytes) {
    if (const int error = begin_call(); error != 0) return refused(error);
    const Inode& inode = seen_.at(inode_of(fd));
    if (inode.kind != Inode::Kind::symlink) return refused(EINVAL);
    const std::size_t length = std::min(bytes, inode.bytes.size());
    std::copy_n(inode.bytes.begin(), length, text);
    return static_cast<ssize_t>(length);
}

int SimulatedDisk::symlinkat(const char* text, int directory, const char* name) {
    if (const int error = begin_change(); error != 0) return refused(error);
    const Place place = place_of(directory, name);
    if (place.directory == 0) return refused(ENOENT);
    if (lookup(place) != 0) return refused(EEXIST);
    create(place.directory, place.name.c_str(), Inode::Kind::symlink, 0777, text);
    return 0;
}

int SimulatedDisk::linkat(int from, const char* old_name, int to, const char* new_name) {
    if (const int error = begin_change(); error != 0) return refused(error);
    const InodeNumber inode = lookup(place_of(from, old_name));
    const Place place = place_of(to, new_name);
    if (inode == 0 || place.directory == 0) return refused(ENOENT);
    if (seen_.at(inode).kind == Inode::Kind::directory) return refused(EPERM);
    if (lookup(place) != 0) return refused(EEXIST);
    Change link;
    link.kind = Change::Kind::link;
    link.inode = inode;
    link.directory = place.directory;
    link.name = place.name;
    change(std::move(link));
    return 0;
}

int SimulatedDisk::renameat(int from, const char* old_name, int to, const char* new_name) {
    if (const int error = begin_change(); error != 0) return refused(error);
    const Place old_place = place_of(from, old_name);
    const Place new_place = place_of(to, new_name);
    const InodeNumber inode = lookup(old_place);
    const InodeNumber over = lookup(new_place);
    if (inode == 0 || new_place.directory == 0) return refused(ENOENT);
    if (inode == over) return 0;                                // two names of one file: both stay
    LH_ASSERT(seen_.at(inode).kind != Inode::Kind::directory);  // storage renames no directory
    if (over != 0 && seen_.at(over).kind == Inode::Kind::directory) return refused(EISDIR);
    Change rename;
    rename.kind = Change::Kind::rename;
    rename.inode = inode;
    rename.directory = old_place.directory;
    rename.name = old_place.name;
    rename.to_directory = new_place.directory;
    rename.to_name = new_place.name;
    change(std::move(rename));
    return 0;
}

int SimulatedDisk::unlinkat(int directory, const char* name, int flags) {
    if (const int error = begin_change(); error != 0) return refused(error);
    const Place place = place_of(directory, name);
    const InodeNumber inode = lookup(place);
    if (inode == 0) return refused(ENOENT);
    const bool is_directory = seen_.at(inode).kind == Inode::Kind::directory;
    if ((flags & AT_REMOVEDIR) && !is_directory) return refused(ENOTDIR);
    if (!(flags & AT_REMOVEDIR) && is_directory) return refused(EISDIR);
    if (is_directory && !seen_.at(inode).names.empty()) return refused(ENOTEMPTY);
    Change unlink;
    unlink.kind = Change::Kind::unlink;
    unlink.inode = inode;
    unlink.directory = place.directory;
    unlink.name = place.name;
    change(std::move(unlink));
    return 0;
}

int SimulatedDisk::change_attributes(InodeNumber inode, const std::function<void(Attributes&)>& edit) {
    if (const int error = begin_change(); error != 0) return refused(error);
    if (inode == 0) return refused(ENOENT);
    Change made;
    made.kind = Change::Kind::attributes;
    made.inode = inode;
    made.attributes = seen_.at(inode).attributes;
    edit(made.attributes);
    made.attributes.ctime_ns = now_ns_;
    change(std::move(made));
    return 0;
}

int SimulatedDisk::fchownat(int directory, const char* name, uid_t uid, gid_t gid, int flags) {
    const InodeNumber inode = flags & AT_EMPTY_PATH ? inode_of(directory) : lookup(place_of(directory, name));
    return change_attributes(inode, [&](Attributes& attributes) {
        attributes.uid = uid;
        attributes.gid = gid;
    });
}
int SimulatedDisk::fchmodat(int directory, const char* name, mode_t mode) {
    return change_attributes(lookup(place_of(directory, name)),
                             [&](Attributes& attributes) { attributes.mode = mode; });
}
int SimulatedDisk::fchmod(int fd, mode_t mode) {
    return change_attributes(inode_of(fd), [&](Attributes& attributes) { attributes.mode = mode; });
}
int SimulatedDisk::utimensat(int directory, const char* name, const timespec (&times)[2]) {
    return change_attributes(lookup(place_of(directory, name)), [&](Attributes& attributes) {
        attributes.mtime_ns = std::int64_t{times[1].tv_sec} * kNanosecondsInSecond + times[1].tv_nsec;
    });
}
int SimulatedDisk::futimens(int fd, const timespec (&times)[2]) {
    return change_attributes(inode_of(fd), [&](Attributes& attributes) {
        attributes.mtime_ns = std::int64_t{times[1].tv_sec} * kNanosecondsInSecond + times[1].tv_nsec;
    });
}

ssize_t SimulatedDisk::list_attributes(int fd, char* names, std::size_t bytes) {
    if (const int error = begin_call(); error != 0) return refused(error);
    std::string list;
    for (const auto& [name, value] : seen_.at(inode_of(fd)).attributes.extended)
        list += name + '\0';
    if (list.size() > bytes) return refused(ERANGE);
    std::copy(list.begin(), list.end(), names);
    return static_cast<ssize_t>(list.size());
}
ssize_t SimulatedDisk::get_attribute(int fd, const char* name, char* value, std::size_t bytes) {
    if (const int error = begin_call(); error != 0) return refused(error);
    const auto& extended = seen_.at(inode_of(fd)).attributes.extended;
    const auto found = extended.find(name);
    if (found == extended.end()) return refused(ENODATA);
    if (found->second.size() > bytes) return refused(ERANGE);
    std::copy(found->second.begin(), found->second.end(), value);
    return static_cast<ssize_t>(found->second.size());
}
int SimulatedDisk::set_attribute(int fd, const char* name, std::string_view value) {
    return change_attributes(inode_of(fd),
                             [&](Attributes& attributes) { attributes.extended[name] = std::string(value); });
}
int SimulatedDisk::remove_attribute(int fd, const char* name) {
    if (!seen_.at(inode_of(fd)).attributes.extended.contains(name)) return refused(ENODATA);
    return change_attributes(inode_of(fd), [&](Attributes& attributes) { attributes.extended.erase(name); });
}

bool SimulatedDisk::fits(InodeNumber inode, std::uint64_t size) const {
    std::uint64_t used = 0;
    const auto count = [&](InodeNumber number) {
        used += number == inode ? 0 : seen_.at(number).bytes.size();
    };
    for (const auto& [directory, entry] : seen_)
        for (const auto& [name, number] : entry.names)
            count(number);
    return size <= capacity_bytes && used <= capacity_bytes - size;
}

int SimulatedDisk::ftruncate(int fd, std::uint64_t bytes) {
    if (const int error = begin_change(); error != 0) return refused(error);
    if (!fits(inode_of(fd), bytes)) return refused(ENOSPC);
    Change resize;
    resize.kind = Change::Kind::resize;
    resize.inode = inode_of(fd);
    resize.offset = bytes;
    change(std::move(resize));
    return 0;
}

int SimulatedDisk::fallocate(int fd, int mode, std::uint64_t offset, std::uint64_t bytes) {
    if (const int error = begin_change(); error != 0) return -error;
    const InodeNumber inode = inode_of(fd);
    const std::uint64_t end = std::max<std::uint64_t>(offset + bytes, seen_.at(inode).bytes.size());
    if (!fits(inode, end)) return -ENOSPC;
    if (mode & FALLOC_FL_KEEP_SIZE || end == seen_.at(inode).bytes.size()) return 0;
    Change resize;
    resize.kind = Change::Kind::resize;
    resize.inode = inode;
    resize.offset = end;
    change(std::move(resize));
    return 0;
}

int SimulatedDisk::read(int fd, MutableByteView into, std::uint64_t offset) {
    if (const int error = begin_call(); error != 0) return -error;
    const std::string& bytes = seen_.at(inode_of(fd)).bytes;
    if (offset >= bytes.size()) return 0;
    const std::size_t count = std::min<std::size_t>(into.size(), bytes.size() - offset);
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), count, into.begin());
    return static_cast<int>(count);
}

int SimulatedDisk::write(int fd, ByteView from, std::uint64_t offset) {
    if (const int error = begin_change(); error != 0) return -error;
    const InodeNumber inode = inode_of(fd);
    if (!fits(inode, std::max<std::uint64_t>(offset + from.size(), seen_.at(inode).bytes.size())))
        return -ENOSPC;
    Change write;
    write.kind = Change::Kind::write;
    write.inode = inode;
    write.offset = offset;
    write.bytes.assign(from.begin(), from.end());
    change(std::move(write));
    return static_cast<int>(from.size());
}

ssize_t SimulatedDisk::pread(int fd, MutableByteView into, std::uint64_t offset) {
    const int told = read(fd, into, offset);
    return told < 0 ? refused(-told) : told;
}

ssize_t SimulatedDisk::pwrite(int fd, ByteView from, std::uint64_t offset) {
    const int told = write(fd, from, offset);
    return told < 0 ? refused(-told) : told;
}

}  // namespace longhaul::storage::sim
