// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/core/primitives.h"

#include <isa-l/erasure_code.h>
#include <rte_dev.h>
#include <time.h>

#include <array>
#include <cstring>
#include <functional>
#include <vector>

#include "dataplane/base/random.h"
#include "dataplane/fec/codec.h"
#include "dataplane/wire/packet.h"
#include "dataplane/worker/memory_plan.h"
#include "drivers/crypto/aead.h"

namespace longhaul::bench {
namespace {

constexpr std::size_t kColdBytes = 512u << 20;
constexpr unsigned kSymbols = 64;
constexpr unsigned kBurst = 32;
constexpr unsigned kFrames =
    512;  // as many as a transmit ring holds: one that is filled was used that long ago

wire::Header data_header() {
    wire::Header header;
    header.type = wire::PacketType::data;
    header.flags = static_cast<std::uint8_t>(static_cast<unsigned>(wire::Section::payload)
                                             << wire::Flags::section_shift);
    header.bundle = 1;
    header.data_symbols = kSymbols;
    return header;
}

// Time that this thread was given: what others take of the core does not count.
double cpu_seconds() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// Calls `step(stripe)` over stripes one after another, round and round through the cold memory.
double rate_of(std::size_t stripes, std::size_t bytes_a_step, double seconds,
               const std::function<void(std::size_t)>& step) {
    for (std::size_t i = 0; i < 8; ++i)
        step(i);
    std::size_t steps = 0, stripe = 8;
    const double begin = cpu_seconds();
    double spent = 0;
    while (spent < seconds) {
        for (unsigned i = 0; i < 16; ++i, ++steps)
            step(stripe++ % stripes);
        spent = cpu_seconds() - begin;
    }
    return static_cast<double>(steps) * static_cast<double>(bytes_a_step) / spent;
}

class Bench {
  public:
    Bench(worker::Arena arena, std::unique_ptr<crypto::AeadDevice> aead, std::size_t symbol_bytes,
          double seconds)
        : arena_(std::move(arena)),
          aead_(std::move(aead)),
          symbol_(symbol_bytes),
          // As in the product: parity slots behind each stripe, and no stride that is a power of two.
          stride_((kSymbols + fec::kErasuresMax) * symbol_bytes),
          stripes_(kColdBytes / stride_),
          seconds_(seconds),
          frames_(kFrames, std::vector<std::uint8_t>(wire::kHeaderBytes + symbol_bytes + wire::kTagBytes)) {
        Random random(2);
        for (std::size_t at = 0; at + 8 <= arena_.size(); at += 8) {
            const std::uint64_t noise = random.next();
            std::memcpy(arena_.data() + at, &noise, sizeof noise);
        }
    }

    double copy() {
        return rate_of(stripes_, kSymbols * symbol_, seconds_, [this](std::size_t stripe) {
            for (unsigned i = 0; i < kSymbols; ++i)
                std::memcpy(next_frame(), data(stripe) + i * symbol_, symbol_);
        });
    }
    Result<double> seal() {
        auto sealer = aead_->make_sealer({}, 1);
        if (!sealer.ok()) return sealer.error();
        return rate_of(stripes_, kSymbols * symbol_, seconds_, [&](std::size_t stripe) {
            for (unsigned first = 0; first < kSymbols; first += kBurst)
                seal_burst(*sealer.value(), data(stripe) + first * symbol_,
                           [this](unsigned) { return next_frame(); });
        });
    }
    // Only the first opening of a packet is authentic: a cold memory full of them is sealed, then opened, and only the
    // opening is timed. As in the product they come cold (from another core or a NIC) and go to cold places.
    Result<double> open() {
        auto sealer = aead_->make_sealer({}, 1);
        auto opener = aead_->make_opener({}, 1);
        if (!sealer.ok()) return sealer.error();
        if (!opener.ok()) return opener.error();
        const std::size_t stride =
            wire::kHeaderBytes + symbol_ + wire::kTagBytes + 80;  // as far apart as frames
        const std::size_t packets = kColdBytes / stride / kBurst * kBurst;
        std::vector<std::uint8_t> sealed(packets * stride);
        double spent = 0;
        std::size_t bytes = 0, bad = 0, place = 0;
        while (spent < seconds_) {
            for (std::size_t first = 0; first < packets; first += kBurst)
                seal_burst(*sealer.value(), data(0),
                           [&](unsigned i) { return &sealed[(first + i) * stride]; });
            const double begin = cpu_seconds();
            for (std::size_t first = 0; first < packets; first += kBurst) {
                std::array<crypto::OpenJob, kBurst> jobs;
                for (unsigned i = 0; i < kBurst; ++i, ++place) {
                    const std::uint8_t* const packet = &sealed[(first + i) * stride];
                    jobs[i] = {opener.value().get(),
                               packet,
                               packet + wire::kHeaderBytes,
                               data(place / kSymbols % stripes_) + place % kSymbols * symbol_,
                               static_cast<std::uint32_t>(symbol_),
                               wire::DropReason::none};
                }
                aead_->open(jobs);
                for (const auto& job : jobs)
                    bad += job.result != wire::DropReason::none;
            }
            spent += cpu_seconds() - begin;
            bytes += packets * symbol_;
        }
        if (bad > 0) return Error{ErrorCode::internal, "packets did not open"};
        return static_cast<double>(bytes) / spent;
    }
    double encode(fec::Kernel kernel, unsigned rows) {
        const fec::Codec codec(kernel);
        return rate_of(stripes_, kSymbols * symbol_, seconds_, [&](std::size_t stripe) {
            codec.encode(data(stripe), kSymbols, symbol_, 0, rows, parity(stripe));
        });
    }
    double encode_whole(unsigned rows) {
        std::vector<std::uint8_t> tables(32u * kSymbols * rows), matrix(kSymbols * rows);
        for (unsigned row = 0; row < rows; ++row)
            for (unsigned column = 0; column < kSymbols; ++column)
                matrix[row * kSymbols + column] = fec::coefficient(row, column);
        ec_init_tables(static_cast<int>(kSymbols), static_cast<int>(rows), matrix.data(), tables.data());
        return rate_of(stripes_, kSymbols * symbol_, seconds_, [&](std::size_t stripe) {
            std::array<unsigned char*, kSymbols> sources;
            std::array<unsigned char*, fec::kErasuresMax> targets;
            for (unsigned i = 0; i < kSymbols; ++i)
                sources[i] = data(stripe) + i * symbol_;
            for (unsigned i = 0; i < rows; ++i)
                targets[i] = parity(stripe) + i * symbol_;
            ec_encode_data(static_cast<int>(symbol_), static_cast<int>(kSymbols), static_cast<int>(rows),
                           tables.data(), sources.data(), targets.data());
        });
    }

  private:
    std::uint8_t* next_frame() { return frames_[frame_++ % kFrames].data(); }
    std::uint8_t* data(std::size_t stripe) { return arena_.data() + stripe * stride_; }
    std::uint8_t* parity(std::size_t stripe) { return data(stripe) + kSymbols * symbol_; }
    template <typename Place>
    void seal_burst(crypto::LaneSealer& sealer, const std::uint8_t* from, const Place& place) {
        std::array<crypto::SealJob, kBurst> jobs;
        for (unsigned i = 0; i < kBurst; ++i) {
            std::uint8_t* const frame = place(i);
            wire::write_header(data_header(), frame);
            jobs[i] = {&sealer, frame, from + i * symbol_, frame + wire::kHeaderBytes,
                       static_cast<std::uint32_t>(symbol_)};
        }
        aead_->seal(jobs);
    }

    worker::Arena arena_;
    std::unique_ptr<crypto::AeadDevice> aead_;
    const std::size_t symbol_, stride_, stripes_;
    const double seconds_;
    std::vector<std::vector<std::uint8_t>> frames_;
    std::size_t frame_ = 0;  // the next one
};

}  // namespace

Result<Primitives> measure_primitives(std::size_t symbol_bytes, unsigned parity, double seconds_each) {
    auto arena = worker::Arena::map(kColdBytes, true);
    if (!arena.ok()) return arena.error();
    crypto::AeadConfig config;
    config.worker = 20;
    auto aead = crypto::AeadDevice::create(config);
    if (!aead.ok()) return aead.error();
    Bench bench(std::move(arena).value(), std::move(aead).value(), symbol_bytes, seconds_each);
    Primitives found;
    found.kernel = fec::to_string(fec::best_kernel());
    found.copy = bench.copy();
    auto seal = bench.seal();
    if (!seal.ok()) return seal.error();
    found.seal = seal.value();
    auto open = bench.open();
    if (!open.ok()) return open.error();
    found.open = open.value();
    if (parity > 0) {
        found.encode = bench.encode(fec::best_kernel(), parity);
        found.encode_isal = bench.encode(fec::Kernel::isal, parity);
        found.encode_isal_whole = bench.encode_whole(parity);
    }
    return found;
}

}  // namespace longhaul::bench
