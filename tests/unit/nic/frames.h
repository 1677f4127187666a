// Test frames in mbufs: filled with a pattern of their number, so that what comes back can be told.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <cstdint>

#include "drivers/nic/nic.h"

namespace longhaul::nic {

inline rte_mbuf* make_frame(Port& port, std::uint16_t bytes, std::uint8_t number) {
    rte_mbuf* frame = rte_pktmbuf_alloc(port.pool());
    if (frame == nullptr) return nullptr;
    auto* data = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(frame, bytes));
    if (data == nullptr) {
        rte_pktmbuf_free(frame);
        return nullptr;
    }
    for (unsigned i = 0; i < bytes; ++i)
        data[i] = static_cast<std::uint8_t>(number + i);
    return frame;
}

inline bool frame_is(const rte_mbuf* frame, std::uint16_t bytes, std::uint8_t number) {
    if (frame->pkt_len != bytes || frame->nb_segs != 1) return false;
    const auto* data = rte_pktmbuf_mtod(frame, const std::uint8_t*);
    for (unsigned i = 0; i < bytes; ++i)
        if (data[i] != static_cast<std::uint8_t>(number + i)) return false;
    return true;
}

}  // namespace longhaul::nic
