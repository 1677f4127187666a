// Lengths are checked before they are believed; nothing outside the buffer is read.
// SPDX-License-Identifier: Apache-2.0
#include "control/capture/fanotify_events.h"

#include <fcntl.h>
#include <sys/fanotify.h>

#include <cstring>
#include <optional>

namespace longhaul::control {

namespace {

constexpr std::size_t kNameBytesMax = 255;
constexpr std::size_t kHandleBytesMax = 128;  // MAX_HANDLE_SZ of the kernel
// struct file_handle up to its bytes: handle_bytes, handle_type.
constexpr std::size_t kHandleHeaderBytes = 8;

template <typename T>
T load(ByteView from) {  // the kernel aligns by 4, the structures want 8
    T value;
    std::memcpy(&value, from.data(), sizeof value);
    return value;
}

// The name behind the handle, without the zeros that pad it. nullopt: it is none.
std::optional<std::string_view> name_in(ByteView rest) {
    const auto* text = reinterpret_cast<const char*>(rest.data());
    const std::size_t length = strnlen(text, rest.size());
    if (length == rest.size() || length == 0 || length > kNameBytesMax) return std::nullopt;
    const std::string_view name(text, length);
    if (name.find('/') != std::string_view::npos || name == "..") return std::nullopt;
    return name;
}

// The body of a DFID_NAME record. False: damaged.
bool read_place(ByteView record, FanotifyEvent& event) {
    constexpr std::size_t kFixed = sizeof(fanotify_event_info_fid);
    if (record.size() < kFixed + kHandleHeaderBytes) return false;
    const auto handle = record.subspan(kFixed);
    const auto bytes = load<std::uint32_t>(handle);
    if (bytes > kHandleBytesMax || bytes > handle.size() - kHandleHeaderBytes) return false;
    const auto name = name_in(handle.subspan(kHandleHeaderBytes + bytes));
    if (!name) return false;
    event.handle_type = load<std::int32_t>(handle.subspan(sizeof(std::uint32_t)));
    event.handle = handle.subspan(kHandleHeaderBytes, bytes);
    event.name = *name;
    return true;
}

// The records behind an event's head. False: damaged.
bool read_records(ByteView records, FanotifyEvent& event) {
    while (!records.empty()) {
        if (records.size() < sizeof(fanotify_event_info_header)) return false;
        const auto header = load<fanotify_event_info_header>(records);
        if (header.len < sizeof header || header.len > records.size()) return false;
        if (header.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME &&
            !read_place(records.first(header.len), event))
            return false;
        records = records.subspan(header.len);
    }
    return true;
}

}  // namespace

FanotifyEvents decode_fanotify(ByteView buffer) {
    FanotifyEvents out;
    while (!buffer.empty()) {
        if (buffer.size() < sizeof(fanotify_event_metadata)) break;
        const auto head = load<fanotify_event_metadata>(buffer);
        if (head.vers != FANOTIFY_METADATA_VERSION || head.metadata_len < sizeof head ||
            head.event_len < head.metadata_len || head.event_len > buffer.size())
            break;
        FanotifyEvent event;
        event.mask = head.mask;
        if ((head.mask & FAN_Q_OVERFLOW) != 0) {
            out.overflowed = true;
        } else if (!read_records(buffer.first(head.event_len).subspan(head.metadata_len), event)) {
            break;
        } else if (event.name.empty()) {
            ++out.nameless;
        } else {
            out.events.push_back(event);
        }
        buffer = buffer.subspan(head.event_len);
    }
    out.damaged = !buffer.empty();
    return out;
}

}  // namespace longhaul::control
