// The product's storage at a target, on a simulated disk and ring, and the loop of a worker that drives it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "drivers/storage/storage.h"
#include "tests/sim/storage/history.h"
#include "tests/sim/storage/simulated_disk.h"

namespace longhaul::storage::sim {

class Target {
  public:
    // `said` hears of everything that is offered and reported, as the source does. With a first run the bundles of a wave
    // are published in their order, in a new run each time that they are offered.
    Target(SimulatedDisk& disk, Expectation& said, std::uint64_t seed,
           std::optional<std::uint64_t> first_run = std::nullopt);

    Result<void> open();
    std::function<void()> between_turns;
    // Offers the bundles together and takes them to their ends. Returns whether each was published without a failure.
    bool apply(const std::vector<Bundle>& wave);
    // As a source does: a wave again until it is published, objects from their first range when staging has lost them.
    bool apply_until_published(const History& history, std::size_t from_wave);
    std::size_t waves_published() const noexcept { return waves_published_; }
    const std::set<wire::FailReason>& reasons() const noexcept { return reasons_; }  // of the last apply
    const std::vector<std::string>& wrong() const noexcept { return wrong_; }

  private:
    struct Work {
        const Bundle* bundle = nullptr;
        std::unique_ptr<BundleWriter> writer;
        wire::Manifest manifest;
        wire::Trailer trailer;
        std::string memory;  // what the network would have filled
        std::size_t writes_open = 0;
        bool finishing = false;
        bool staged = false;  // in order: waits to be released
        bool ended = false;
        bool published = false;
    };
    void begin(Work& work);
    void place_in_order(std::vector<Work>& works);
    void release_next(std::vector<Work>& works);
    void take(const Event& event, std::vector<Work>& works);
    void ended(Work& work, const wire::BundleStatus& status);
    std::vector<Bundle> ranges_of_missing_objects(const History& history,
                                                  const std::vector<Bundle>& wave) const;

    Expectation& said_;
    Random random_;
    std::unique_ptr<Storage> storage_;
    std::uint32_t generation_ = 0;
    std::optional<std::uint64_t> run_;  // the next one
    std::set<wire::ObjectKey> missing_;
    std::set<wire::FailReason> reasons_;
    std::size_t waves_published_ = 0;
    std::vector<std::string> wrong_;
};

}  // namespace longhaul::storage::sim
