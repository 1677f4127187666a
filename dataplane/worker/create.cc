// Building a worker: every buffer it will ever use is taken here.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/worker.h"

namespace longhaul::worker {

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
    const MemoryPlan& plan = config.plan;
    auto arena = Arena::map(plan.arena_bytes, config.hugepages);
    if (!arena.ok()) return arena.error();
    worker->arena_ = std::make_unique<Arena>(std::move(arena).value());

    std::uint8_t* next = worker->arena_->data();
    const auto pool_of = [&](std::uint32_t blocks) {
        const std::size_t bytes = std::size_t{blocks} * plan.block_stride;
        auto pool = std::make_unique<session::BlockPool>(MutableByteView(next, bytes), plan.block_stride);
        next += bytes;
        return pool;
    };
    for (unsigned i = 0; i < plan.links; ++i) {
        worker->send_pools_.push_back(pool_of(plan.send_blocks));
        worker->receive_pools_.push_back(pool_of(plan.receive_blocks));
    }
    worker->slot_taken_.assign(plan.links, false);

    crypto::AeadConfig aead;
    aead.device = config.crypto_device;
    aead.worker = config.index;
    aead.burst = kBurst;
    auto device = crypto::AeadDevice::create(aead);
    if (!device.ok()) return device.error();
    worker->aead_ = std::move(device).value();

    storage::StorageConfig storage;
    Worker* const raw = worker.get();
    storage.log = [raw](const std::string& text) { raw->tell(LogLine{false, text}); };
    auto engine = config.make_storage(storage, {worker->arena_->data(), worker->arena_->size()});
    if (!engine.ok()) return engine.error();
    worker->storage_ = std::move(engine).value();

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
