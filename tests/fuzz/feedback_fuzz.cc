// Any FEEDBACK payload, parsed into an object that is used again: refused, or written again gives the same
// bytes.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "dataplane/wire/feedback.h"
#include "tests/fuzz/target.h"

using namespace longhaul;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static wire::Feedback feedback;
    if (wire::parse_feedback({data, size}, feedback) != wire::DropReason::none) return 0;
    std::vector<std::uint8_t> again(size);
    LH_ASSERT(wire::write_feedback(feedback, again) == size);
    LH_ASSERT(std::equal(again.begin(), again.end(), data));
    return 0;
}
