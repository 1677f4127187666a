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
#include "drivers/storage/publisher.h"
#include "drivers/storage/ring.h"
#include "drivers/storage/storage.h"
#include "drivers/storage/store.h"

namespace longhaul::storage {

struct Core {
    Core(StorageConfig settings, std::unique_ptr<Ring> made, std::size_t descriptors_max)
        : config(std::move(settings)), ring(std::move(made)), descriptors(descriptors_max) {}

    void say(const std::string& text) const {
        if (config.log) config.log(text);
    }
    // A file system without O_DIRECT: every later file of the store is opened buffered, the operator hears of
    // it once.
    void direct_refused(Store& store);

    StorageConfig config;
    StorageStats stats;
    std::vector<Event> events;  // not yet polled
    std::unique_ptr<Ring> ring;
    Descriptors descriptors;
    Publisher publisher;
    std::map<std::pair<StoreNumber, StoreRole>, std::shared_ptr<Store>> stores;
};

std::unique_ptr<BundleReader> make_reader(std::shared_ptr<Core> core, std::shared_ptr<Store> store,
                                          const wire::Manifest& manifest);
std::unique_ptr<BundleWriter> make_writer(std::shared_ptr<Core> core, std::shared_ptr<Store> store,
                                          const wire::Manifest& manifest);

}  // namespace longhaul::storage
