// Hints before they are looked at: hostile buffers are decoded without believing them, waiting paths are one each and few.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/fanotify.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string>
#include <vector>

#include "control/capture/fanotify_events.h"
#include "control/capture/hint_queue.h"

namespace longhaul::control {
namespace {

using Bytes = std::vector<std::uint8_t>;

template <typename T>
void append(Bytes& bytes, const T& value) {
    const auto* from = reinterpret_cast<const std::uint8_t*>(&value);
    std::copy(from, from + sizeof value, std::back_inserter(bytes));
}

// A record as the kernel writes it: header, fsid, handle, name, zeros up to a multiple of four.
Bytes place(const Bytes& handle, const std::string& name) {
    Bytes body;
    append(body, std::uint64_t{7});  // fsid
    append(body, static_cast<std::uint32_t>(handle.size()));
    append(body, std::int32_t{1});
    std::copy(handle.begin(), handle.end(), std::back_inserter(body));
    std::copy(name.begin(), name.end(), std::back_inserter(body));
    do
        body.push_back(0);
    while (body.size() % 4 != 0);
    fanotify_event_info_header header{};
    header.info_type = FAN_EVENT_INFO_TYPE_DFID_NAME;
    header.len = static_cast<std::uint16_t>(sizeof header + body.size());
    Bytes record;
    append(record, header);
    std::copy(body.begin(), body.end(), std::back_inserter(record));
    return record;
}

Bytes event(std::uint64_t mask, const Bytes& records) {
    fanotify_event_metadata head{};
    head.event_len = static_cast<std::uint32_t>(sizeof head + records.size());
    head.vers = FANOTIFY_METADATA_VERSION;
    head.metadata_len = sizeof head;
    head.mask = mask;
    head.fd = FAN_NOFD;
    Bytes bytes;
    append(bytes, head);
    std::copy(records.begin(), records.end(), std::back_inserter(bytes));
    return bytes;
}

Bytes operator+(Bytes first, const Bytes& second) {
    std::copy(second.begin(), second.end(), std::back_inserter(first));
    return first;
}

// What the kernel writes comes out: handle, name, mask; an overflow among events is one.
TEST(FanotifyEvents, AreDecoded) {
    const Bytes buffer = event(FAN_CREATE, place({1, 2, 3}, "file")) + event(FAN_Q_OVERFLOW, {}) +
                         event(FAN_ATTRIB | FAN_ONDIR, place({4}, "."));
    const auto decoded = decode_fanotify(buffer);
    EXPECT_FALSE(decoded.damaged);
    EXPECT_TRUE(decoded.overflowed);
    ASSERT_EQ(decoded.events.size(), 2u);
    EXPECT_EQ(decoded.events[0].name, "file");
    EXPECT_EQ(Bytes(decoded.events[0].handle.begin(), decoded.events[0].handle.end()), (Bytes{1, 2, 3}));
    EXPECT_EQ(decoded.events[0].mask, std::uint64_t{FAN_CREATE});
    EXPECT_EQ(decoded.events[1].name, ".");
}

// A record of another kind is passed over; an event that says no place is counted, not lost.
TEST(FanotifyEvents, OfNoPlaceAreCounted) {
    fanotify_event_info_header other{};
    other.info_type = FAN_EVENT_INFO_TYPE_PIDFD;
    other.len = sizeof other;
    Bytes pidfd;
    append(pidfd, other);
    const Bytes buffer =  // what is decoded points into it
        event(FAN_MODIFY, pidfd) + event(FAN_MODIFY, pidfd + place({1}, "x")) + event(FAN_MODIFY, {});
    const auto decoded = decode_fanotify(buffer);
    EXPECT_FALSE(decoded.damaged);
    EXPECT_EQ(decoded.nameless, 2u);
    ASSERT_EQ(decoded.events.size(), 1u);
    EXPECT_EQ(decoded.events[0].name, "x");
}

// Cut anywhere, a buffer yields only events that were whole, and says that it is damaged.
TEST(FanotifyEvents, CutShortAreDamaged) {
    const Bytes first = event(FAN_CREATE, place({1, 2, 3, 4}, "first"));
    const Bytes both = first + event(FAN_DELETE, place({5}, "second"));
    for (std::size_t length = 1; length < both.size(); ++length) {
        if (length == first.size()) continue;
        const Bytes cut(both.begin(), both.begin() + static_cast<std::ptrdiff_t>(length));  // its own end
        const auto decoded = decode_fanotify(cut);
        EXPECT_TRUE(decoded.damaged) << length;
        EXPECT_EQ(decoded.events.size(), length < first.size() ? 0u : 1u) << length;
    }
}

// Lengths and names that lie: damaged, and nothing of them is believed.
TEST(FanotifyEvents, ThatLieAreDamaged) {
    const Bytes good = event(FAN_CREATE, place({1, 2, 3, 4}, "name"));
    const auto lying = [&](std::size_t at, std::uint32_t value, std::size_t size) {
        Bytes bytes = good;
        std::memcpy(bytes.data() + at, &value, size);
        return bytes;
    };
    constexpr std::size_t kRecord = sizeof(fanotify_event_metadata);
    for (const Bytes& bytes : {
             lying(0, 0, 4),           // event_len
             lying(0, 23, 4),          //
             lying(0, 0xffffffff, 4),  //
             lying(4, FANOTIFY_METADATA_VERSION + 1, 1),
             lying(6, 23, 2),                     // metadata_len
             lying(6, 0xffff, 2),                 //
             lying(kRecord + 2, 0, 2),            // length of the record
             lying(kRecord + 2, 3, 2),            //
             lying(kRecord + 2, 19, 2),           //
             lying(kRecord + 2, 0xffff, 2),       //
             lying(kRecord + 12, 0xffffffff, 4),  // handle_bytes
             lying(kRecord + 12, 129, 4),         //
             lying(kRecord + 12, 64, 4),          // the name would begin behind the record
             event(FAN_CREATE, place({1}, "")),
             event(FAN_CREATE, place({1}, "..")),
             event(FAN_CREATE, place({1}, "a/b")),
             event(FAN_CREATE, place({1}, std::string(256, 'n'))),
             event(FAN_CREATE, place(Bytes(129, 1), "name")),
         }) {
        const auto decoded = decode_fanotify(bytes);
        EXPECT_TRUE(decoded.damaged);
        EXPECT_TRUE(decoded.events.empty());
    }
    EXPECT_FALSE(decode_fanotify(good).damaged);
}

// A path that changes again and again while it waits is handed out once, when it is at rest.
TEST(HintQueue, HandsOutAPathOnceWhenItRests) {
    HintQueue queue;
    for (TimeNs now = 0; now < kSecond; now += 10 * kMillisecond)
        queue.add("log", false, true, now);
    queue.add("other", true, false, 0);
    EXPECT_EQ(queue.size(), 2u);
    EXPECT_TRUE(queue.take(kHintQuiet - 1).paths.empty());
    EXPECT_EQ(queue.take(kHintQuiet).paths, (std::vector<Hint>{{"other", true}}));
    EXPECT_TRUE(queue.take(kSecond).paths.empty()) << "it is still written";
    queue.add("log", false, false, kSecond);  // closed
    EXPECT_EQ(queue.due(), kSecond + kHintQuiet);
    EXPECT_EQ(queue.take(kSecond + kHintQuiet).paths, (std::vector<Hint>{{"log", false}}));
    EXPECT_FALSE(queue.due());
}

// A file that is written without end is looked at all the same.
TEST(HintQueue, WaitsForNoFileForEver) {
    HintQueue queue;
    for (TimeNs now = 0; now <= kHintWaitMost; now += kHintWritten / 2)
        queue.add("log", false, true, now);
    EXPECT_EQ(queue.take(kHintWaitMost).paths.size(), 1u);
}

// More than the queue holds: it is emptied and says so once; what is heard from then on waits as before.
TEST(HintQueue, OverflowIsALoss) {
    HintQueue queue;
    for (std::size_t i = 0; i <= kHintsMax; ++i)
        queue.add(std::to_string(i), false, false, 0);
    EXPECT_EQ(queue.size(), 0u);
    EXPECT_EQ(queue.due(), 0u) << "at once";
    queue.add("after", false, false, 0);
    const auto hints = queue.take(kSecond);
    EXPECT_NE(hints.lost, "");
    EXPECT_EQ(hints.paths, (std::vector<Hint>{{"after", false}}));
    EXPECT_EQ(queue.take(kSecond).lost, "");
    EXPECT_EQ(queue.losses(), 1u);
}

// Long paths overflow it by their bytes, and a queue that was emptied by takes has room again.
TEST(HintQueue, IsBoundedInBytes) {
    HintQueue queue;
    const std::string tail(4000, 'x');
    for (int round = 0; round < 3; ++round) {
        for (std::size_t i = 0; i < kHintBytesMax / 5000; ++i)
            queue.add(std::to_string(i) + tail, false, false, 0);
        while (!queue.take(kSecond).paths.empty()) {
        }
    }
    EXPECT_EQ(queue.losses(), 0u);
    for (std::size_t i = 0; i < kHintBytesMax / 4000; ++i)
        queue.add(std::to_string(i) + tail, false, false, 0);
    EXPECT_EQ(queue.losses(), 1u);
}

// At most so many at a time, a directory before what lies in it.
TEST(HintQueue, HandsOutInPortionsParentsFirst) {
    HintQueue queue;
    queue.add("d/e/f", false, false, 0);
    queue.add("d/e", false, false, 0);
    queue.add("d", false, false, 0);
    EXPECT_EQ(queue.take(kSecond).paths, (std::vector<Hint>{{"d", false}, {"d/e", false}, {"d/e/f", false}}));
    for (std::size_t i = 0; i < kHintsPerTake + 1; ++i)
        queue.add(std::to_string(i), false, false, 0);
    EXPECT_EQ(queue.take(kSecond).paths.size(), kHintsPerTake);
    EXPECT_EQ(queue.take(kSecond).paths.size(), 1u);
}

}  // namespace
}  // namespace longhaul::control
