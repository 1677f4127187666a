// Carrying one bundle as a strict target would.
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control_core/fake_ports.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

namespace longhaul::control::test {

namespace {

std::int64_t ns(const timespec& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

std::string parent(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

}  // namespace

FakePorts::FakePorts() : thread_([this] { run(); }) {}

FakePorts::~FakePorts() {
    locked([&] { stop_ = true; });
    thread_.join();
}

void FakePorts::attach(Core* core) {
    const std::scoped_lock lock(core_mutex_);
    core_ = core;
}

void FakePorts::connect() {
    command::StatusReport status;
    locked([&] {
        connected_ = true;
        status.boot_id = std::string(31, '0') + std::to_string(boots_ % 10);
        stores_.clear();
        for (const auto& [id, bundle] : bundles_) {
            if (bundle.done)
                status.bundles.push_back(bundle.result);
            else
                status.in_flight.push_back(id);
        }
    });
    const std::scoped_lock lock(core_mutex_);
    if (core_ != nullptr) core_->on_dataplane_up(status);
}

void FakePorts::disconnect() {
    locked([&] { connected_ = false; });
    const std::scoped_lock lock(core_mutex_);
    if (core_ != nullptr) core_->on_dataplane_down();
}

void FakePorts::restart_dataplane() {
    disconnect();
    locked([&] {
        bundles_.clear();
        queue_.clear();
        ++boots_;
    });
    connect();
}

void FakePorts::set_link_up(bool up) {
    locked([&] { link_up_ = up; });
    const std::scoped_lock lock(core_mutex_);
    if (core_ != nullptr) core_->on_link({});
}

void FakePorts::set_answering(std::uint8_t link, bool answering) {
    locked([&] {
        two_links_ = true;
        if (answering)
            mute_.erase(link);
        else
            mute_.insert(link);
    });
    const std::scoped_lock lock(core_mutex_);
    if (core_ != nullptr) core_->on_link({});
}

void FakePorts::fail(const std::string& path, wire::FailReason reason, int times) {
    locked([&] { failing_[path] = {reason, times}; });
}
void FakePorts::fail_bundles(wire::FailReason reason, int times) {
    locked([&] { failing_bundles_ = {reason, times}; });
}

Result<void> FakePorts::store_open(std::uint64_t store, const std::string& directory, bool target, bool) {
    return locked([&]() -> Result<void> {
        if (!connected_) return Error{ErrorCode::unavailable, "not connected"};
        stores_.emplace(store, target);
        if (!target) sources_[store] = directory;
        return {};
    });
}

void FakePorts::store_close(std::uint64_t store) {
    locked([&] {
        stores_.erase({store, false});
        sources_.erase(store);
    });
}

Result<bool> FakePorts::bundle_offer(const command::BundleOfferMessage& offer,
                                     std::vector<std::uint8_t> head) {
    auto manifest = wire::parse_manifest(head);
    return locked([&]() -> Result<bool> {
        if (!connected_) return Error{ErrorCode::unavailable, "not connected"};
        if (!manifest) {
            violations_.push_back(manifest.error().text);
            return manifest.error();
        }
        if (manifest.value().generation != offer.generation) violations_.push_back("offer and head disagree");
        const auto known = bundles_.find(offer.id);
        if (known != bundles_.end()) {  // a higher generation moves what is not done
            if (known->second.done || offer.generation <= known->second.manifest.generation) return true;
            known->second.manifest = std::move(manifest).value();
            known->second.link = offer.link;
            return true;
        }
        if (queue_.size() >= open_max_) return false;
        bundles_[offer.id] = {std::move(manifest).value(), offer.source_store, offer.link, false, {}};
        queue_.push_back(offer.id);
        return true;
    });
}

Result<void> FakePorts::bundle_cancel(const wire::BundleId& id) {
    return locked([&]() -> Result<void> {
        bundles_.erase(id);
        queue_.remove(id);
        return {};
    });
}

Result<void> FakePorts::bundle_ack(const std::vector<wire::BundleId>& ids) {
    return locked([&]() -> Result<void> {
        if (!connected_) return Error{ErrorCode::unavailable, "not connected"};
        for (const auto& id : ids)
            bundles_.erase(id);
        return {};
    });
}

Result<TargetAccepted> FakePorts::target_accept(const DatasetSpec& spec) {
    ++accepts;
    if (spec.target.site != "west")
        return Error{ErrorCode::not_found, "site " + spec.target.site + " is not configured"};
    return locked([&]() -> Result<TargetAccepted> { return TargetAccepted{store_}; });
}

Result<void> FakePorts::target_release(const std::string&, const std::string&, std::uint64_t) {
    ++releases;
    if (deaf) return Error{ErrorCode::unavailable, "no connection"};
    return {};
}

std::vector<LinkChoice> FakePorts::links_to(const std::string& site) {
    return locked([&] {
        std::vector<LinkChoice> links{{"east-west-1", 1, site, link_up_, rate_bps_}};
        links[0].answering = link_up_ && !mute_.contains(1);
        if (two_links_) {
            links.push_back({"east-west-2", 2, site, true, rate_bps_});
            links[1].answering = !mute_.contains(2);
        }
        return links;
    });
}

void FakePorts::tell(const command::BundleEvent& event) {
    const std::scoped_lock lock(core_mutex_);
    if (core_ != nullptr) core_->on_bundle(event);
}

void FakePorts::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [&] {
            return stop_ || (link_up_ && connected_ && budget_ > 0 && next_in_queue() != queue_.end());
        });
        if (stop_) return;
        auto next = next_in_queue();
        if (shuffled_ && !two_links_) {
            next = queue_.begin();
            std::advance(next, static_cast<std::ptrdiff_t>(random_.below(queue_.size())));
        }
        carry(*next, lock);
    }
}

std::list<wire::BundleId>::iterator FakePorts::next_in_queue() {
    return std::find_if(queue_.begin(), queue_.end(),
                        [&](const wire::BundleId& id) { return !mute_.contains(bundles_.at(id).link); });
}

void FakePorts::carry(const wire::BundleId& id_in_queue, std::unique_lock<std::mutex>& lock) {
    const wire::BundleId id = id_in_queue;
    if (budget_ != SIZE_MAX) --budget_;
    queue_.remove(id);
    const Bundle bundle = bundles_.at(id);
    const auto source = sources_.find(bundle.source);
    const std::string root = source == sources_.end() ? std::string() : source->second;
    auto& event = bundles_.at(id).result;
    event.id = id;
    event.generation = bundle.manifest.generation;
    event.link = bundle.link;
    ++carried_by_[bundle.link];
    if (!carried_ids_.insert(id).second) ++carried_twice_;
    event.stage = wire::Stage::published;
    if (bundle.manifest.store != store_) {
        event.stage = wire::Stage::failed;
        event.reason = wire::FailReason::store_unknown;
    } else if (root.empty()) {
        event.stage = wire::Stage::failed;
        event.reason = wire::FailReason::store_closed;
    } else if (failing_bundles_.second > 0) {
        --failing_bundles_.second;
        event.stage = wire::Stage::failed;
        event.reason = failing_bundles_.first;
    } else {
        for (std::uint32_t i = 0; i < bundle.manifest.entries.size(); ++i) {
            const auto& entry = bundle.manifest.entries[i];
            if (before_read_ && entry.kind != wire::EntryKind::mark) before_read_(entry.path);
            const auto reason = apply(entry, root);
            ++carried_[entry.kind];
            if (reason == wire::FailReason::none) continue;
            ++event.failed_entries;
            if (event.failures.size() < list_max_) event.failures.push_back({i, reason});
        }
    }
    bundles_.at(id).done = true;
    const auto result = event;  // a copy: an acknowledgement may remove it while nobody holds the lock
    lock.unlock();
    if (result.stage == wire::Stage::published) {
        auto earlier = result;
        earlier.stage = wire::Stage::complete;
        tell(earlier);
        earlier.stage = wire::Stage::durable;
        tell(earlier);
    }
    tell(result);
    lock.lock();
}

wire::FailReason FakePorts::read_source(const wire::Entry& entry, const std::string& root,
                                        std::string& bytes) {
    const std::string path = root + "/" + entry.path;
    const bool stretch = entry.kind == wire::EntryKind::range || entry.kind == wire::EntryKind::verify;
    const std::uint64_t size = stretch ? entry.file_size : entry.size;
    const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW);
    if (fd < 0)
        return errno == EACCES ? wire::FailReason::source_permission : wire::FailReason::source_vanished;
    struct stat status {};
    fstat(fd, &status);
    const bool same = static_cast<std::uint64_t>(status.st_size) == size &&
                      ns(status.st_mtim) == entry.mtime_ns && ns(status.st_ctim) == entry.ctime_ns;
    bytes.resize(entry.size);
    const ssize_t got = pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(entry.file_offset));
    close(fd);
    return same && got == static_cast<ssize_t>(entry.size) ? wire::FailReason::none
                                                           : wire::FailReason::source_changed;
}

void FakePorts::touch_parent(const std::string& path) {
    if (const auto above = tree_.find(parent(path)); above != tree_.end())
        above->second.mtime_ns = ++target_clock_;
}

wire::FailReason FakePorts::publish(const std::string& path, ModelObject object) {
    const std::string above = parent(path);
    if (!above.empty() && (!tree_.contains(above) || tree_.at(above).kind != 'd')) {
        violations_.push_back("no parent for " + path);
        return wire::FailReason::target_path;
    }
    const auto old = tree_.find(path);
    if (old != tree_.end() && (old->second.kind == 'd') != (object.kind == 'd'))
        return wire::FailReason::target_occupied;
    if (old == tree_.end() || object.kind != 'd') touch_parent(path);
    if (spoiled_.contains(path) && !object.bytes.empty()) object.bytes.back() ^= 1;
    tree_[path] = std::move(object);
    return wire::FailReason::none;
}

wire::FailReason FakePorts::compare_names(const wire::Entry& entry, const std::string& root) const {
    const std::string directory = entry.path.empty() ? root : root + "/" + entry.path;
    std::set<std::string> at_source, here;
    std::error_code gone;
    for (const auto& found : std::filesystem::directory_iterator(directory, gone))
        at_source.insert(found.path().filename());
    struct stat status {};
    if (lstat(directory.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) ||
        status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec != entry.mtime_ns)
        return wire::FailReason::source_changed;
    for (const auto& [path, object] : tree_)
        if (parent(path) == entry.path) here.insert(path.substr(path.rfind('/') + 1));
    return at_source == here ? wire::FailReason::none : wire::FailReason::target_names;
}

wire::FailReason FakePorts::compare(const wire::Entry& entry, const std::string& bytes) const {
    const bool file = entry.compared == wire::EntryKind::file;
    const bool directory = entry.compared == wire::EntryKind::directory;
    const auto found = tree_.find(entry.path);
    if (found == tree_.end() || found->second.kind != (file ? 'f' : directory ? 'd' : 'l'))
        return wire::FailReason::target_missing;
    const ModelObject& there = found->second;
    const bool same_bytes = file ? there.bytes.size() == entry.file_size &&
                                       there.bytes.compare(entry.file_offset, entry.size, bytes) == 0
                                 : directory || there.bytes == entry.target;
    if (!same_bytes) return wire::FailReason::integrity;
    if (file && entry.file_offset + entry.size != entry.file_size) return wire::FailReason::none;
    if (there.uid != entry.uid || there.gid != entry.gid) return wire::FailReason::other_owner;
    if ((file || directory) && there.mode != entry.mode) return wire::FailReason::other_mode;
    return there.mtime_ns == entry.mtime_ns ? wire::FailReason::none : wire::FailReason::other_mtime;
}

wire::FailReason FakePorts::apply(const wire::Entry& entry, const std::string& root) {
    if (const auto failing = failing_.find(entry.path);
        failing != failing_.end() && failing->second.second > 0 && entry.kind != wire::EntryKind::verify) {
        --failing->second.second;
        return failing->second.first;
    }
    ModelObject object{'f', entry.mode, entry.uid, entry.gid, entry.mtime_ns, {}};
    switch (entry.kind) {
        case wire::EntryKind::file: {
            const auto reason = read_source(entry, root, object.bytes);
            return reason != wire::FailReason::none ? reason : publish(entry.path, std::move(object));
        }
        case wire::EntryKind::range: {
            const auto reason = read_source(entry, root, object.bytes);
            if (reason == wire::FailReason::none) staged_[entry.object][entry.file_offset] = object.bytes;
            range_bytes_ += entry.size;
            return reason;
        }
        case wire::EntryKind::assemble: {
            // What no range wrote is a hole and reads as zeros; that nothing else is missing shows in the tree.
            object.bytes.resize(entry.size);
            if (entry.object != wire::ObjectKey{} && !staged_.contains(entry.object))
                return wire::FailReason::staging_missing;
            for (const auto& [offset, bytes] : staged_[entry.object])
                object.bytes.replace(offset, bytes.size(), bytes);
            staged_.erase(entry.object);
            return publish(entry.path, std::move(object));
        }
        case wire::EntryKind::directory:
            object.kind = 'd';
            return publish(entry.path, std::move(object));
        case wire::EntryKind::symlink:
            object.kind = 'l';
            object.mode = 0777;
            object.bytes = entry.target;
            return publish(entry.path, std::move(object));
        case wire::EntryKind::remove: {
            const auto under = tree_.lower_bound(entry.path + "/");
            if (under != tree_.end() && under->first.starts_with(entry.path + "/")) {
                violations_.push_back("not empty: " + entry.path);
                return wire::FailReason::target_occupied;
            }
            if (tree_.erase(entry.path) > 0) touch_parent(entry.path);
            return wire::FailReason::none;
        }
        case wire::EntryKind::metadata: {
            const auto found = tree_.find(entry.path);
            if (found == tree_.end()) return wire::FailReason::target_io;
            found->second.mode = entry.mode;
            found->second.uid = entry.uid;
            found->second.gid = entry.gid;
            found->second.mtime_ns = entry.mtime_ns;
            return wire::FailReason::none;
        }
        case wire::EntryKind::link: {
            const auto found = tree_.find(entry.target);
            const bool same = found != tree_.end() && found->second.kind == 'f' &&
                              found->second.bytes.size() == entry.size &&
                              found->second.mtime_ns == entry.mtime_ns;
            if (!same) return wire::FailReason::target_link;
            object.bytes = found->second.bytes;
            return publish(entry.path, std::move(object));
        }
        case wire::EntryKind::verify: {
            const bool file = entry.compared == wire::EntryKind::file;
            const auto read = file                          ? read_source(entry, root, object.bytes)
                              : wire::compares_names(entry) ? compare_names(entry, root)
                                                            : wire::FailReason::none;
            if (read != wire::FailReason::none || entry.path.empty()) return read;
            return compare(entry, object.bytes);
        }
        case wire::EntryKind::mark:
            marks_.push_back(entry.mtime_ns);
            return wire::FailReason::none;
    }
    return wire::FailReason::internal;
}

}  // namespace longhaul::control::test
