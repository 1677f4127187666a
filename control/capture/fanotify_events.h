// What the kernel writes into a fanotify descriptor (fanotify(7), FAN_REPORT_DFID_NAME), decoded: pure, and distrustful.
//
// An event names a directory by its file handle and an entry of it by name; "." is the directory itself. A buffer that
// does not add up is damaged: what was decoded before the damage stands, what follows is unknown.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "dataplane/base/bytes.h"

namespace longhaul::control {

struct FanotifyEvent {  // borrows from the buffer
    std::uint64_t mask = 0;
    std::int32_t handle_type = 0;
    ByteView handle;        // of the directory; the kernel's own format
    std::string_view name;  // one path component, or "."
};

struct FanotifyEvents {
    std::vector<FanotifyEvent> events;
    bool overflowed = false;     // the kernel's queue was full: events are missing
    std::uint64_t nameless = 0;  // events that do not say where
    bool damaged = false;
};

FanotifyEvents decode_fanotify(ByteView buffer);

}  // namespace longhaul::control
