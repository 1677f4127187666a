// Offering, writing in any order, finishing, and what comes back.
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/storage/target.h"

#include <algorithm>
#include <utility>

#include "drivers/storage/core.h"
#include "tests/sim/storage/simulated_ring.h"

namespace longhaul::storage::sim {

namespace {

constexpr unsigned kQueueDepth = 6;  // less than the operations of a wave: the backlog is used
constexpr std::size_t kFilesOpenMin = 2, kFilesOpenMax = 12;  // less than its files: descriptors are lent on
constexpr std::size_t kStripeBytes = 22 * 1408;
constexpr unsigned kTurnsMax = 1'000'000;
constexpr unsigned kOffersMax = 30;

}  // namespace

Target::Target(SimulatedDisk& disk, Expectation& said, std::uint64_t seed,
               std::optional<std::uint64_t> first_run)
    : said_(said), random_(seed), run_(first_run) {
    StorageConfig config;
    config.queue_depth = kQueueDepth;
    storage_ = make_storage_on(
        config, {std::make_unique<SimulatedRing>(disk, kQueueDepth, seed), disk, Helping::when_collected},
        kFilesOpenMin + random_.below(kFilesOpenMax - kFilesOpenMin + 1));
}

Result<void> Target::open() {
    return storage_->open_store(1, "/", StoreRole::target);
}

// Ranges need no order: nobody sees them.
void Target::place_in_order(std::vector<Work>& works) {
    std::uint64_t number = 0;
    for (Work& work : works) {
        const auto& entries = work.manifest.entries;
        const bool visible = std::any_of(entries.begin(), entries.end(), [](const wire::Entry& entry) {
            return entry.kind != wire::EntryKind::range;
        });
        if (!visible) continue;
        work.manifest.publish = wire::PublishRule::in_order;
        work.manifest.place = {*run_, ++number};
    }
    ++*run_;
}

// As the target's control does: one at a time, and none behind one that did not take its place.
void Target::release_next(std::vector<Work>& works) {
    for (Work& work : works) {
        if (work.manifest.publish != wire::PublishRule::in_order || work.published) continue;
        if (work.staged && !work.ended) {
            work.staged = false;
            work.writer->release();
        }
        if (!work.ended) return;
        for (Work& behind : works)  // it has failed
            if (std::exchange(behind.staged, false)) behind.writer->release();
        return;
    }
}

void Target::begin(Work& work) {
    said_.offered(*work.bundle);
    work.trailer = work.bundle->trailer;
    work.manifest.generation = work.trailer.generation = generation_;
    // Aligned as an arena is, so that direct and buffered writes both happen.
    work.memory.assign(work.bundle->payload.size() + wire::kDirectAlignment, '\0');
    auto writer = storage_->open_writer(work.manifest);
    LH_ASSERT(writer.ok());
    work.writer = std::move(writer).value();
}

bool Target::apply(const std::vector<Bundle>& wave) {
    ++generation_;
    reasons_.clear();
    std::vector<Work> works(wave.size());
    struct Piece {
        std::size_t work;
        std::uint64_t offset;
        std::uint64_t bytes;
    };
    std::vector<Piece> pieces;
    for (std::size_t i = 0; i < wave.size(); ++i) {
        works[i].bundle = &wave[i];
        works[i].manifest = wave[i].manifest;
    }
    if (run_) place_in_order(works);
    for (std::size_t i = 0; i < wave.size(); ++i) {
        begin(works[i]);
        for (std::uint64_t at = 0; at < wave[i].payload.size(); at += kStripeBytes)
            pieces.push_back({i, at, std::min<std::uint64_t>(kStripeBytes, wave[i].payload.size() - at)});
    }
    for (std::size_t i = pieces.size(); i > 1; --i)
        std::swap(pieces[i - 1], pieces[random_.below(i)]);
    for (const Piece& piece : pieces) {
        Work& work = works[piece.work];
        const auto address = reinterpret_cast<std::uintptr_t>(work.memory.data());
        const std::size_t pad =
            (wire::kDirectAlignment - address % wire::kDirectAlignment) % wire::kDirectAlignment;
        std::uint8_t* memory = reinterpret_cast<std::uint8_t*>(work.memory.data()) + pad + piece.offset;
        std::copy_n(work.bundle->payload.begin() + static_cast<std::ptrdiff_t>(piece.offset), piece.bytes,
                    memory);
        ++work.writes_open;
        work.writer->write(piece.offset, {memory, piece.bytes}, piece.work);
    }
    std::vector<Event> events;
    for (unsigned turn = 0; turn < kTurnsMax; ++turn) {
        for (std::size_t i = 0; i < works.size(); ++i) {
            if (works[i].writes_open > 0 || works[i].finishing) continue;
            works[i].finishing = true;
            works[i].writer->finish(works[i].trailer, i);
        }
        if (between_turns) between_turns();
        storage_->submit();
        events.clear();
        storage_->poll(events);
        for (const Event& event : events)
            take(event, works);
        release_next(works);
        if (storage_->idle() &&
            std::all_of(works.begin(), works.end(), [](const Work& work) { return work.ended; }))
            return std::all_of(works.begin(), works.end(), [](const Work& work) { return work.published; });
    }
    wrong_.push_back("a bundle never ended");
    return false;
}

void Target::take(const Event& event, std::vector<Work>& works) {
    Work& work = works[event.token];
    if (event.kind == Event::Kind::write_done) --work.writes_open;
    if (event.kind == Event::Kind::staged) work.staged = true;
    if (event.kind == Event::Kind::mark && !work.published)
        wrong_.push_back("a mark was reported although an entry before it failed");
    if (event.kind != Event::Kind::bundle_stage) return;
    if (event.status.stage == wire::Stage::durable) said_.durable(*work.bundle, event.status);
    if (event.status.stage == wire::Stage::published || event.status.stage == wire::Stage::failed)
        ended(work, event.status);
}

void Target::ended(Work& work, const wire::BundleStatus& status) {
    work.ended = true;
    work.published = status.stage == wire::Stage::published && status.failed_entries == 0;
    for (const wire::EntryFailure& failure : status.failures) {
        if (failure.reason == wire::FailReason::none || failure.reason == wire::FailReason::internal)
            wrong_.push_back("an entry failed without a name for it");
        reasons_.insert(failure.reason);
        const wire::Entry& entry = work.manifest.entries[failure.entry];
        if (failure.reason == wire::FailReason::staging_missing) missing_.insert(entry.object);
    }
}

std::vector<Bundle> Target::ranges_of_missing_objects(const History& history,
                                                      const std::vector<Bundle>& wave) const {
    std::vector<Bundle> again;
    const auto concerns = [&](const Bundle& bundle, wire::EntryKind kind) {
        return std::any_of(
            bundle.manifest.entries.begin(), bundle.manifest.entries.end(),
            [&](const wire::Entry& entry) { return entry.kind == kind && missing_.contains(entry.object); });
    };
    if (std::none_of(wave.begin(), wave.end(),
                     [&](const Bundle& bundle) { return concerns(bundle, wire::EntryKind::assemble); }))
        return again;
    for (const auto& earlier : history)
        for (const Bundle& bundle : earlier)
            if (concerns(bundle, wire::EntryKind::range) && !concerns(bundle, wire::EntryKind::assemble))
                again.push_back(bundle);
    return again;
}

bool Target::apply_until_published(const History& history, std::size_t from_wave) {
    for (waves_published_ = from_wave; waves_published_ < history.size(); ++waves_published_) {
        const auto& wave = history[waves_published_];
        unsigned offers = 0;
        while (!apply(wave)) {
            if (++offers == kOffersMax || !wrong_.empty()) return false;
            if (const auto again = ranges_of_missing_objects(history, wave); !again.empty())
                (void)apply(again);
            missing_.clear();
        }
    }
    return wrong_.empty();
}

}  // namespace longhaul::storage::sim
