// How far a store has been published in order: one small file in its staging directory, read and moved on under a lock,
// so that the last door before the disk knows the order whatever has crashed or whoever asks.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/wire/manifest.h"
#include "drivers/storage/store.h"

namespace longhaul::storage {

// What was published last; {0, 0} when nothing was, or when the file does not tell.
wire::OrderPlace read_order(Disk& disk, int staging);

// Held while one bundle is published; waits for whoever holds it, in this process or another.
class OrderLock {
  public:
    OrderLock(Disk& disk, int staging);
    int error() const noexcept { return error_; }  // 0: it is held
    const wire::OrderPlace& position() const noexcept { return position_; }
    int advance(const wire::OrderPlace& place);  // an errno: it is not durable, the place is not taken

  private:
    Disk& disk_;
    const int staging_;  // borrowed
    UniqueFd file_;
    int error_ = 0;
    wire::OrderPlace position_;
};

}  // namespace longhaul::storage
