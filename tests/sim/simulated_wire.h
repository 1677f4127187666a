// Packets between two endpoints: a link model per direction, dead lanes, and the store of packets under way.
// Bytes go in clear; corruption flips the bit that the model says, in the header or behind it, and the seal
// is then broken.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/base/random.h"
#include "dataplane/wire/packet.h"
#include "drivers/wan/link_model.h"
#include "tests/sim/event_queue.h"

namespace longhaul::sim {

struct PacketUnderWay {
    std::array<std::uint8_t, wire::kHeaderBytes> header{};
    std::vector<std::uint8_t> payload;  // empty for a symbol of a bulk payload
    std::size_t payload_bytes = 0;
    bool seal_broken = false;
};

class SimulatedWire {
  public:
    // Ethernet, IPv4 and UDP headers in front of a Longhaul packet; the model adds the FCS.
    static constexpr std::size_t kFrameHeaderBytes = 42;

    SimulatedWire(const wan::LinkSettings& forward, const wan::LinkSettings& backward, std::uint64_t seed,
                  EventQueue& events)
        : own_{std::make_unique<wan::LinkModel>(forward, seed * 2 + 1),
               std::make_unique<wan::LinkModel>(backward, seed * 2 + 2)},
          models_{own_[0].get(), own_[1].get()},
          events_(events) {}
    // On a path that others use too; it outlives the wire.
    SimulatedWire(wan::LinkModel& forward, wan::LinkModel& backward, EventQueue& events)
        : models_{&forward, &backward}, events_(events) {}

    void send(unsigned from, const wire::Header& header, const std::uint8_t* payload, std::size_t bytes,
              TimeNs now, bool carry = true) {
        const std::size_t frame = kFrameHeaderBytes + wire::kHeaderBytes + bytes + wire::kTagBytes;
        const wan::Fate fate = models_[from]->send(frame, now);
        if (lane_dead_[header.lane] || (bad_[from][header.lane] && way_.chance(bad_member_loss_))) return;
        for (unsigned copy = 0; copy < fate.copies; ++copy) {
            const std::uint32_t index = take();
            PacketUnderWay& packet = packets_[index];
            wire::write_header(header, packet.header.data());
            packet.payload.assign(payload, payload + (carry ? bytes : 0));
            packet.payload_bytes = bytes;
            packet.seal_broken = fate.corrupt;
            if (fate.corrupt) flip(packet, fate.corrupt_bit);
            events_.push({fate.deliver_at[copy], 0, Event::Kind::arrival, static_cast<std::uint8_t>(1 - from),
                          index, 0});
        }
    }
    PacketUnderWay& packet(std::uint64_t index) { return packets_[index]; }
    void done(std::uint64_t index) { free_.push_back(static_cast<std::uint32_t>(index)); }

    wan::LinkModel& model(unsigned direction) { return *models_[direction]; }
    void set_lane(unsigned lane, bool dead) { lane_dead_[lane] = dead; }
    void set_bad_member(unsigned lanes, double loss) {
        bad_member_loss_ = loss;
        for (auto& direction : bad_)
            for (unsigned lane = 0; lane < lanes; ++lane)
                direction[lane] = true;
    }
    void change_way(unsigned from, unsigned lane) { bad_[from][lane] = way_.below(kMembers) == 0; }
    std::size_t under_way() const { return packets_.size() - free_.size(); }

  private:
    static void flip(PacketUnderWay& packet, std::uint64_t bit) {
        bit %= (packet.header.size() + packet.payload.size()) * 8;
        // Headers are a fiftieth of the bits; a forger would aim at them, so every fourth hit does.
        if (bit % 4 == 0) bit = bit / 4 % (packet.header.size() * 8);
        const std::size_t byte = bit / 8;
        const auto mask = static_cast<std::uint8_t>(1u << bit % 8);
        std::uint8_t& target =
            byte < packet.header.size() ? packet.header[byte] : packet.payload[byte - packet.header.size()];
        target = static_cast<std::uint8_t>(target ^ mask);
    }
    std::uint32_t take() {
        if (free_.empty()) {
            packets_.emplace_back();
            return static_cast<std::uint32_t>(packets_.size() - 1);
        }
        const std::uint32_t index = free_.back();
        free_.pop_back();
        return index;
    }

    std::unique_ptr<wan::LinkModel> own_[2];
    std::array<wan::LinkModel*, 2> models_;
    static constexpr unsigned kMembers = 8;
    std::array<bool, 256> lane_dead_{};
    std::array<std::array<bool, 256>, 2> bad_{};
    double bad_member_loss_ = 0;
    Random way_{5};
    std::vector<PacketUnderWay> packets_;
    std::vector<std::uint32_t> free_;
    EventQueue& events_;
};

}  // namespace longhaul::sim
