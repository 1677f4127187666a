// Building a worker: every buffer it will ever use is taken here.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "dataplane/worker/worker.h"

namespace longhaul::worker {

namespace {
constexpr unsigned kFilesOpenMin = 64;  // of one worker, however many divide the process's descriptors
}

Worker::Worker(const WorkerConfig& config, std::vector<nic::Port*> ports, Mailbox<Command>& inbox,
               Mailbox<Event>& outbox, int wake_main_fd)
    : config_(config),
      ports_(std::move(ports)),
      inbox_(inbox),
      outbox_(outbox),
      wake_main_fd_(wake_main_fd),
      scratch_(kBurst),
      outgoing_frames_(ports_.size()) {}

Worker::~Worker() {
    for (auto& link : links_)
        link.reset();  // readers and writers end while storage and arena still stand
}

Result<std::unique_ptr<Worker>> Worker::create(const WorkerConfig& config, std::vector<nic::Port*> ports,
                                               Mailbox<Command>& inbox, Mailbox<Event>& outbox,
                                               int wake_main_fd) {
    std::unique_ptr<Worker> worker(new Worker(config, std::move(ports), inbox, outbox, wake_main_fd));
    LH_ASSERT(config.index < kGroupsMax &&
              (config.handoff == nullptr || config.index < config.handoff->workers()));
    LH_ASSERT(config.arrivals != nullptr);
    const MemoryPlan& plan = config.plan;
    auto arena = Arena::map(plan.arena_bytes, config.hugepages);
    if (!arena.ok()) return arena.error();
    worker->arena_ = std::make_unique<Arena>(std::move(arena).value());
    worker->slots_.assign(plan.links, std::nullopt);

    crypto::AeadConfig aead;
    aead.device = config.crypto_device;
    aead.worker = config.index;
    aead.burst = kBurst;
    auto device = crypto::AeadDevice::create(aead);
    if (!device.ok()) return device.error();
    worker->aead_ = std::move(device).value();

    storage::StorageConfig storage;
    storage.files_open_max = std::max(kFilesOpenMin, storage.files_open_max / plan.workers);
    Worker* const raw = worker.get();
    storage.log = [raw](const std::string& text) { raw->tell(LogLine{false, text}); };
    auto engine = config.make_storage(storage, {worker->arena_->data(), worker->arena_->size()});
    if (!engine.ok()) return engine.error();
    worker->storage_ = std::move(engine).value();

    if (config.index == 0)
        for (nic::Port* port : worker->ports_)
            worker->neighbours_.push_back(std::make_unique<nic::Neighbours>(
                port->mac(), port->config().addresses, port->config().gateway_v4, port->config().gateway_v6,
                port->config().vlan));
    for (nic::Port* port : worker->ports_)
        worker->empty_frames_.emplace_back(port->pool());
    worker->link_epochs_.assign(worker->ports_.size(), 0);
    return worker;
}

}  // namespace longhaul::worker
