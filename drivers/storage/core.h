// What all bundles of one worker share: ring, descriptors, publisher, events, statistics. One owner thread.
// Readers and writers keep it alive; Storage is the door to it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "drivers/storage/descriptors.h"
#include "drivers/storage/disk.h"
#include "drivers/storage/flusher.h"
#include "drivers/storage/publisher.h"
#include "drivers/storage/ring.h"
#include "drivers/storage/storage.h"
#include "drivers/storage/store.h"
#include "drivers/storage/verifier.h"

namespace longhaul::storage {

// What the storage of a worker works with: io_uring, Linux and a thread in the product.
struct Devices {
    std::unique_ptr<Ring> ring;
    Disk& disk;
    Helping helping = Helping::on_its_thread;
};

struct Core {
    Core(StorageConfig settings, Devices devices, std::size_t descriptors_max)
        : config(std::move(settings)),
          disk(devices.disk),
          ring(std::move(devices.ring)),
          descriptors(descriptors_max),
          flusher(devices.helping),
          publisher(devices.helping),
          verifier(devices.helping) {}

    bool helpers_idle() const noexcept { return flusher.idle() && publisher.idle() && verifier.idle(); }
    void say(const std::string& text) const {
        if (config.log) config.log(text);
    }
    // A file system without O_DIRECT: every later file of the store is opened buffered, the operator hears of
    // it once.
    void direct_refused(Store& store);

    StorageConfig config;
    StorageStats stats;
    std::vector<Event> events;  // not yet polled
    Disk& disk;
    std::unique_ptr<Ring> ring;
    Descriptors descriptors;
    Flusher flusher;
    Publisher publisher;
    Verifier verifier;
    std::map<std::pair<StoreNumber, StoreRole>, std::shared_ptr<Store>> stores;
};

std::unique_ptr<Storage> make_storage_on(const StorageConfig& config, Devices devices,
                                         std::size_t descriptors_max);

std::unique_ptr<BundleReader> make_reader(std::shared_ptr<Core> core, std::shared_ptr<Store> store,
                                          const wire::Manifest& manifest);
std::unique_ptr<BundleWriter> make_writer(std::shared_ptr<Core> core, std::shared_ptr<Store> store,
                                          const wire::Manifest& manifest);

}  // namespace longhaul::storage
