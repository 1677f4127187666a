// A storage without disks for the bench `core`: reads are done as soon as they are asked for and leave the block as it
// is, as a device's DMA would; writes are done when `held_writes_max` younger ones stand behind them, so that blocks
// come back cold. Everything else is the interface's.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "drivers/storage/storage.h"

namespace longhaul::bench {

// Fills the arena with noise first: its pages exist and no byte pattern helps anybody.
std::unique_ptr<storage::Storage> make_memory_storage(MutableByteView arena, std::size_t held_writes_max);

}  // namespace longhaul::bench
