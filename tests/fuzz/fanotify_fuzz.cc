// Any bytes as a fanotify buffer: what is decoded lies inside it and names one entry; the rest is called damaged.
// SPDX-License-Identifier: Apache-2.0
#include <sys/fanotify.h>

#include <cstring>
#include <vector>

#include "control/capture/fanotify_events.h"
#include "tests/fuzz/target.h"

using namespace longhaul;

namespace {

bool inside(const void* from, std::size_t size, ByteView buffer) {
    const auto* first = static_cast<const std::uint8_t*>(from);
    return first >= buffer.data() && first + size <= buffer.data() + buffer.size();
}

void check(ByteView buffer) {
    const auto decoded = control::decode_fanotify(buffer);
    LH_ASSERT(decoded.events.size() + decoded.nameless <= buffer.size() / sizeof(fanotify_event_metadata));
    for (const auto& event : decoded.events) {
        LH_ASSERT(inside(event.name.data(), event.name.size(), buffer));
        LH_ASSERT(inside(event.handle.data(), event.handle.size(), buffer) && event.handle.size() <= 128);
        LH_ASSERT(!event.name.empty() && event.name.size() <= 255 && event.name != "..");
        LH_ASSERT(event.name.find('/') == std::string_view::npos);
        LH_ASSERT(event.name.find('\0') == std::string_view::npos);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // On the heap and of this size exactly: the sanitizer sees every byte read beyond it.
    const std::vector<std::uint8_t> as_it_is(data, data + size);
    check(as_it_is);
    // The same bytes as the records of one event whose head is right: no fuzzer guesses it soon.
    fanotify_event_metadata head{};
    head.event_len = static_cast<std::uint32_t>(sizeof head + size);
    head.vers = FANOTIFY_METADATA_VERSION;
    head.metadata_len = sizeof head;
    head.fd = FAN_NOFD;
    std::vector<std::uint8_t> event(sizeof head + size);
    std::memcpy(event.data(), &head, sizeof head);
    std::copy(data, data + size, event.begin() + sizeof head);
    check(event);
    return 0;
}
