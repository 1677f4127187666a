// The door to the storage of one worker: stores by number, and the turn of the loop that submits, reaps and
// reports.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/storage.h"

#include <sys/resource.h>

#include <algorithm>
#include <utility>

#include "drivers/storage/core.h"
#include "drivers/storage/errors.h"
#include "drivers/storage/uring.h"

namespace longhaul::storage {

using wire::FailReason;

void Core::direct_refused(Store& store) {
    if (!store.direct_refused)
        say(store.directory + ": its file system does not take O_DIRECT, files are " +
            (store.role == StoreRole::source ? "read" : "written") + " through the page cache");
    store.direct_refused = true;
}

namespace {

constexpr std::size_t kDescriptorsReserved = 256;  // directories, sockets, devices of the rest of the process
constexpr std::size_t kDescriptorsMin = 2;

// Raises the soft limit as far as the hard one allows; says what to change when files_open_max does not fit.
std::size_t descriptors_allowed(const StorageConfig& config) {
    std::size_t allowed = std::max<std::size_t>(config.files_open_max, kDescriptorsMin);
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return allowed;
    const rlim_t needed = allowed + kDescriptorsReserved;
    if (limit.rlim_cur < needed) {
        limit.rlim_cur = std::min(needed, limit.rlim_max);
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur < needed) {
        allowed = std::max<std::size_t>(limit.rlim_cur / 2, kDescriptorsMin);
        if (config.log)
            config.log("only " + std::to_string(allowed) + " files are kept open at once instead of " +
                       std::to_string(config.files_open_max) +
                       ": raise the limit of open files (LimitNOFILE)");
    }
    return allowed;
}

class WorkerStorage final : public Storage {
  public:
    explicit WorkerStorage(std::shared_ptr<Core> core) : core_(std::move(core)) {}
    ~WorkerStorage() override;

    Result<void> open_store(StoreNumber store, const std::string& directory, StoreRole role,
                            bool marked) override;
    void close_store(StoreNumber store) override;
    bool has_store(StoreNumber store, StoreRole role) const override {
        return core_->stores.contains({store, role});
    }
    Result<std::unique_ptr<BundleReader>> open_reader(StoreNumber source,
                                                      const wire::Manifest& manifest) override;
    Result<std::unique_ptr<BundleWriter>> open_writer(const wire::Manifest& manifest) override;
    void submit() override { core_->ring->submit(); }
    std::size_t poll(std::vector<Event>& out) override;
    bool idle() const override {
        return core_->ring->idle() && core_->helpers_idle() && core_->events.empty();
    }
    const StorageStats& stats() const override {
        core_->stats.operations_in_flight = core_->ring->in_flight();
        return core_->stats;
    }

  private:
    std::shared_ptr<Store> find(StoreNumber number, StoreRole role) const {
        const auto found = core_->stores.find({number, role});
        return found == core_->stores.end() ? nullptr : found->second;
    }

    std::shared_ptr<Core> core_;
};

// Destroying it closes every store: bundles that are still held can be destroyed later, but do no more I/O.
WorkerStorage::~WorkerStorage() {
    for (auto& [key, store] : core_->stores)
        store->closed = true;
    while (!(core_->ring->idle() && core_->helpers_idle())) {
        core_->ring->drain_all();
        core_->verifier.finish_all();
        core_->verifier.collect();
        core_->flusher.finish_all();
        core_->flusher.collect();
        core_->publisher.finish_all();
        core_->publisher.collect();
    }
    core_->stores.clear();
}

Result<void> WorkerStorage::open_store(StoreNumber number, const std::string& directory, StoreRole role,
                                       bool marked) {
    if (const auto already = find(number, role)) {
        if (already->is_at(directory)) return {};
        if (already->is_at(already->directory) || role == StoreRole::source)
            return Error{ErrorCode::already_exists, "store " + std::to_string(number) + " is open on " +
                                                        already->directory +
                                                        ": close it before opening it on " + directory};
        already->closed = true;  // its directory has gone
        core_->stores.erase({number, role});
    }
    auto opened =
        open_store_directory(core_->disk, number, directory, role, core_->config.staging_age_max_s, marked);
    if (!opened) return opened.error();
    core_->stores.emplace(std::pair(number, role), std::move(opened).value());
    return {};
}

void WorkerStorage::close_store(StoreNumber number) {
    for (const StoreRole role : {StoreRole::source, StoreRole::target}) {
        const auto found = core_->stores.find({number, role});
        if (found == core_->stores.end()) continue;
        found->second->closed = true;  // its bundles keep the descriptors until they end
        core_->stores.erase(found);
    }
}

Result<std::unique_ptr<BundleReader>> WorkerStorage::open_reader(StoreNumber source,
                                                                 const wire::Manifest& manifest) {
    auto store = find(source, StoreRole::source);
    if (!store)
        return reason_error(FailReason::store_unknown,
                            "no source store " + std::to_string(source) +
                                " is open here: open it before offering bundles from it");
    return make_reader(core_, std::move(store), manifest);
}

Result<std::unique_ptr<BundleWriter>> WorkerStorage::open_writer(const wire::Manifest& manifest) {
    auto store = find(manifest.store, StoreRole::target);
    if (!store)
        return reason_error(FailReason::store_unknown,
                            "no target store " + std::to_string(manifest.store) +
                                " is open here: the target's control must open it");
    return make_writer(core_, std::move(store), manifest);
}

std::size_t WorkerStorage::poll(std::vector<Event>& out) {
    core_->ring->reap();
    core_->verifier.collect();
    core_->flusher.collect();
    core_->publisher.collect();
    core_->ring->submit();  // what the completions asked for next
    const std::size_t count = core_->events.size();
    for (Event& event : core_->events)
        out.push_back(std::move(event));
    core_->events.clear();
    return count;
}

}  // namespace

std::unique_ptr<Storage> make_storage_on(const StorageConfig& config, Devices devices,
                                         std::size_t descriptors_max) {
    return std::make_unique<WorkerStorage>(
        std::make_shared<Core>(config, std::move(devices), descriptors_max));
}

Result<std::unique_ptr<Storage>> make_storage(const StorageConfig& config, MutableByteView arena) {
    auto ring = Uring::create(config.queue_depth, arena, config.log);
    if (!ring) return ring.error();
    return make_storage_on(config, {std::move(ring).value(), linux_disk()}, descriptors_allowed(config));
}

}  // namespace longhaul::storage
