// What every fuzz target shares: a property that does not hold ends the process, and libFuzzer keeps the
// input.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/base/assert.h"
#include "dataplane/base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
