// Work done on EAL's interrupt thread, between its callbacks. memif's connection belongs to that thread,
// without a lock: stopping or closing the device from any other, while a handshake or a disconnect is being
// handled, frees memory under that handler (seen as crashes when a peer restarted).
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace longhaul::nic {

bool on_interrupt_thread() noexcept;

// Runs `work(argument)` there and returns when it is done. Not from inside a burst: the work may wait for
// bursts.
void run_on_interrupt_thread(void (*work)(void*), void* argument);

}  // namespace longhaul::nic
