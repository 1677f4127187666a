// Opening a store, resolving beneath it, and cleaning its staging directory.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <vector>

#include "drivers/storage/attributes.h"
#include "drivers/storage/errors.h"

namespace longhaul::storage {

namespace {

constexpr const char* kStagingName = "staging";
constexpr const char* kMarkName = "store";
constexpr std::size_t kShelves = 16;

std::string shelf_name(std::size_t number) {
    return std::to_string(number % kShelves);
}

Error store_error(int error_number, const std::string& directory, const std::string& what) {
    const std::string text = directory + ": " + what + " (" + error_text(error_number) + ")";
    switch (error_number) {
        case ENOENT:
        case ENOTDIR:
            return {ErrorCode::not_found, text};
        case EACCES:
        case EPERM:
        case EROFS:
            return {ErrorCode::permission_denied, text};
        case ENOSPC:
        case EDQUOT:
            return {ErrorCode::no_space, text};
        default:
            return {ErrorCode::io_error, text};
    }
}

// Makes `name` in `parent` when it is missing and opens it; it must be a directory, not a symlink to one.
Result<UniqueFd> private_directory(Disk& disk, int parent, const char* name, const std::string& shown) {
    if (disk.mkdirat(parent, name, 0700) != 0 && errno != EEXIST)
        return store_error(
            errno, shown,
            std::string("cannot create ") + name + ": give the dataplane's user write permission");
    const int fd = open_beneath(disk, parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return store_error(-fd, shown,
                           std::string("cannot open ") + name +
                               ": it must be a directory of this store, remove what stands there");
    return UniqueFd(disk, fd);
}

bool is_older(Disk& disk, int directory, const char* name, std::uint64_t age_max_s) {
    struct stat found {};
    if (disk.fstatat(directory, name, found) != 0) return false;
    const std::time_t now = disk.now_s();
    // By ctime: an object that a crash stopped at its rename has the mtime of the source already.
    return now > found.st_ctime && static_cast<std::uint64_t>(now - found.st_ctime) > age_max_s;
}

// Leftovers that cannot be removed cost space, not correctness.
template <class IsGarbage>
void clean(Disk& disk, int directory, const IsGarbage& is_garbage) {
    std::vector<std::string> names;
    if (disk.names_in(directory, names) != 0) return;
    for (const std::string& name : names) {
        if (!is_garbage(name) || disk.unlinkat(directory, name.c_str(), 0) == 0) continue;
        if (errno == EISDIR)
            disk.unlinkat(directory, name.c_str(), AT_REMOVEDIR);  // of a comparison that was cut off
    }
}

void clean_staging(Disk& disk, int staging, const std::vector<UniqueFd>& shelves, bool alone,
                   std::uint64_t age_max_s) {
    const auto of_a_bundle = [](const std::string& name) { return name.starts_with("b-"); };
    clean(disk, staging, [&](const std::string& name) {
        const bool of_an_object = name.starts_with("o-") || name.starts_with("d-");
        return (alone && of_a_bundle(name)) ||
               (of_an_object && is_older(disk, staging, name.c_str(), age_max_s));
    });
    if (!alone) return;
    for (const UniqueFd& shelf : shelves)
        clean(disk, shelf.get(), of_a_bundle);
}

std::string mark_of(const Store& store) {
    return std::to_string(store.number) + "\n";
}

bool bears_mark(const Store& store) {
    const std::string path = std::string(kPrivateName) + "/" + kMarkName;
    const UniqueFd file(store.disk,
                        open_beneath(store.disk, store.root.get(), path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!file) return false;
    const std::string wanted = mark_of(store);
    std::vector<std::uint8_t> found(wanted.size() + 1);
    const ssize_t got = store.disk.pread(file.get(), found, 0);
    return got == static_cast<ssize_t>(wanted.size()) &&
           std::equal(wanted.begin(), wanted.end(), found.begin());
}

Error mark_missing(const Store& store) {
    return {ErrorCode::not_found,
            store.directory + ": this is not the directory that the replica was put into (no mark of store " +
                std::to_string(store.number) +
                " in .longhaul/store): mount or put back the one that was, and replication resumes by "
                "itself; if what "
                "it held is lost, remove the dataset at its source and create it again"};
}

Result<void> make_mark(const Store& store, int outer) {
    const UniqueFd file(store.disk, open_beneath(store.disk, outer, kMarkName,
                                                 O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
    const std::string mark = mark_of(store);
    const bool written =
        file && store.disk.pwrite(file.get(), as_bytes(mark), 0) == static_cast<ssize_t>(mark.size()) &&
        store.disk.fsync(file.get()) == 0;
    if (!written) return store_error(errno, store.directory, "cannot write .longhaul/store");
    return {};
}

Result<void> open_staging(Store& store, std::uint64_t staging_age_max_s, bool marked) {
    if (marked && !bears_mark(store)) return mark_missing(store);
    auto outer = private_directory(store.disk, store.root.get(), kPrivateName, store.directory);
    if (!outer) return outer.error();
    auto inner = private_directory(store.disk, outer.value().get(), kStagingName, store.directory);
    if (!inner) return inner.error();
    store.staging = std::move(inner).value();
    drop_default_acl(store.disk, store.staging.get());
    std::vector<UniqueFd> shelves;
    for (std::size_t number = 0; number < kShelves; ++number) {
        auto shelf =
            private_directory(store.disk, store.staging.get(), shelf_name(number).c_str(), store.directory);
        if (!shelf) return shelf.error();
        shelves.push_back(std::move(shelf).value());
        drop_default_acl(store.disk, shelves.back().get());
    }
    if (!bears_mark(store)) {
        if (auto made = make_mark(store, outer.value().get()); !made) return made;
    }
    if (store.disk.fsync(outer.value().get()) != 0 || store.disk.fsync(store.root.get()) != 0)
        return store_error(errno, store.directory, "cannot make the staging directory durable");

    const bool alone = store.disk.flock(store.staging.get(), LOCK_EX | LOCK_NB) == 0;
    clean_staging(store.disk, store.staging.get(), shelves, alone, staging_age_max_s);
    while (store.disk.flock(store.staging.get(), LOCK_SH) != 0) {
        if (errno != EINTR) return store_error(errno, store.directory, "cannot lock the staging directory");
    }
    return {};
}

}  // namespace

void UniqueFd::reset() noexcept {
    if (fd_ >= 0) disk_->close(fd_);
    fd_ = -1;
}

open_how beneath(std::uint64_t flags, std::uint64_t mode) noexcept {
    open_how how{};
    how.flags = flags;
    how.mode = mode;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    return how;
}

int open_beneath(Disk& disk, int directory, const std::string& path, std::uint64_t flags,
                 std::uint64_t mode) {
    open_how how = beneath(flags, mode);
    for (;;) {
        const int fd = disk.openat2(directory, path.empty() ? "." : path.c_str(), how);
        if (fd >= 0) return fd;
        if (errno != EINTR && errno != EAGAIN) return -errno;  // EAGAIN: a rename raced with the resolution
    }
}

bool Store::is_at(const std::string& other_directory) const {
    const UniqueFd other(disk, disk.open(other_directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat found {};
    return other && disk.fstat(other.get(), found) == 0 && found.st_dev == device && found.st_ino == inode;
}

Result<std::shared_ptr<Store>> open_store_directory(Disk& disk, StoreNumber number,
                                                    const std::string& directory, StoreRole role,
                                                    std::uint64_t staging_age_max_s, bool marked) {
    auto store = std::make_shared<Store>(disk);
    store->number = number;
    store->role = role;
    store->directory = directory;
    store->root = UniqueFd(disk, disk.open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!store->root)
        return store_error(
            errno, directory,
            "cannot open this directory: create or mount it and give the dataplane's user access");
    struct stat root {};
    if (disk.fstat(store->root.get(), root) != 0)
        return store_error(errno, directory, "cannot stat this directory");
    store->device = root.st_dev;
    store->inode = root.st_ino;
    if (role == StoreRole::target) {
        if (auto staged = open_staging(*store, staging_age_max_s, marked); !staged) return staged.error();
    }
    return store;
}

std::string bundle_staging_name(const wire::Manifest& manifest, std::size_t entry, std::uint64_t serial) {
    return shelf_name(serial) + "/b-" + wire::to_string(manifest.id) + "-" +
           std::to_string(manifest.generation) + "-" + std::to_string(entry) + "." + std::to_string(serial);
}

std::string object_staging_name(const wire::ObjectKey& object) {
    return "o-" + wire::to_string(object);
}
std::string object_done_name(const wire::ObjectKey& object) {
    return "d-" + wire::to_string(object);
}

}  // namespace longhaul::storage
