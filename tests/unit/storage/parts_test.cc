// The parts by themselves: CRC of parts in any order, lending of descriptors, the table of errors.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <vector>

#include "dataplane/base/random.h"
#include "dataplane/fec/crc32c.h"
#include "drivers/storage/descriptors.h"
#include "drivers/storage/entry_crc.h"
#include "drivers/storage/errors.h"
#include "drivers/storage/payload_map.h"
#include "tests/unit/storage/rig.h"

namespace longhaul::storage::test {
namespace {

using wire::FailReason;

// Whatever the order and the sizes of the parts, the value is that of the bytes in order; repeated parts
// count once.
TEST(EntryCrc, AnyOrder) {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed) + ": unit-storage --gtest_filter=EntryCrc.AnyOrder");
        Random random(seed);
        const std::string bytes = random_bytes(random, 1 + random.below(5000));
        const ByteView view = as_bytes(bytes);
        std::vector<std::pair<std::size_t, std::size_t>> parts;
        for (std::size_t at = 0, size = 0; at < bytes.size(); at += size) {
            size = std::min<std::size_t>(1 + random.below(700), bytes.size() - at);
            parts.emplace_back(at, size);
        }
        for (std::size_t i = parts.size(); i > 1; --i)
            std::swap(parts[i - 1], parts[random.below(i)]);
        EntryCrc crc;
        for (std::size_t i = 0; i < parts.size(); ++i) {
            EXPECT_LT(crc.bytes(), bytes.size());
            crc.add(parts[i].first, view.subspan(parts[i].first, parts[i].second));
            if (random.chance(0.2)) crc.add(parts[i].first, view.subspan(parts[i].first, parts[i].second));
        }
        EXPECT_EQ(crc.bytes(), bytes.size());
        EXPECT_EQ(crc.value(), fec::crc32c(0, view));
    }
}

// The pieces of any request are exactly the overlaps with the entries, in order.
TEST(PayloadMap, PiecesAreTheOverlaps) {
    wire::Manifest manifest;
    Random random(9);
    std::vector<int> owner;
    for (int i = 0; i < 40; ++i) {
        wire::Entry entry;
        entry.kind = i % 5 == 4 ? wire::EntryKind::directory : wire::EntryKind::file;
        entry.size = entry.kind == wire::EntryKind::file ? random.below(30) : 0;
        for (std::uint64_t gap = random.below(4); gap > 0; --gap)
            owner.push_back(-1);
        entry.payload_offset = owner.size();
        for (std::uint64_t b = 0; b < entry.size; ++b)
            owner.push_back(i);
        manifest.entries.push_back(entry);
    }
    const PayloadMap map(manifest);
    for (std::uint64_t from = 0; from < owner.size(); ++from) {
        for (const std::uint64_t bytes :
             {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{17}, owner.size() - from}) {
            std::vector<int> seen(bytes, -1);
            const std::uint64_t end = std::min<std::uint64_t>(owner.size(), from + bytes);
            map.for_each(from, end - from, [&](const PayloadMap::Piece& piece) {
                for (std::uint64_t i = 0; i < piece.bytes; ++i) {
                    EXPECT_EQ(seen[piece.buffer_offset + i], -1);
                    seen[piece.buffer_offset + i] = static_cast<int>(piece.entry);
                    EXPECT_EQ(manifest.entries[piece.entry].payload_offset + piece.entry_offset + i,
                              from + piece.buffer_offset + i);
                }
            });
            for (std::uint64_t i = from; i < end; ++i)
                ASSERT_EQ(seen[i - from], owner[i]);
        }
    }
}

struct Borrower final : Descriptors::Holder {
    void descriptor_granted() override {
        open = true;
        ++grants;
    }
    void descriptor_taken() override { open = false; }
    bool open = false;
    int grants = 0;
};

// The bound holds; waiting holders are served in order; only resting holders lose theirs.
TEST(Descriptors, LendAndTake) {
    Descriptors descriptors(2);
    Borrower a, b, c, d;
    descriptors.want(a);
    descriptors.want(b);
    descriptors.want(c);
    descriptors.want(d);
    EXPECT_TRUE(a.open && b.open && !c.open && !d.open);
    descriptors.rest(b);  // taken at once for the first who waits
    EXPECT_TRUE(a.open && !b.open && c.open && !d.open);
    descriptors.rest(c);
    EXPECT_TRUE(a.open && !c.open && d.open);
    descriptors.rest(a);
    descriptors.rest(d);
    EXPECT_TRUE(a.open && d.open);  // nobody waits: kept
    descriptors.work(a);
    descriptors.want(b);
    EXPECT_TRUE(a.open && b.open && !d.open);
    descriptors.want(c);
    descriptors.leave(c);  // gives up waiting
    descriptors.leave(a);
    EXPECT_EQ(c.grants, 1);
    descriptors.leave(b);
    EXPECT_EQ(descriptors.open(), 0u);
}

// Each errno has the reason that the operator is told.
TEST(Errors, Table) {
    EXPECT_EQ(source_reason(ENOENT), FailReason::source_vanished);
    EXPECT_EQ(source_reason(ELOOP), FailReason::source_changed);
    EXPECT_EQ(source_reason(EACCES), FailReason::source_permission);
    EXPECT_EQ(source_reason(EIO), FailReason::source_io);
    EXPECT_EQ(target_reason(0), FailReason::none);
    EXPECT_EQ(target_reason(ENOSPC), FailReason::target_no_space);
    EXPECT_EQ(target_reason(EDQUOT), FailReason::target_quota);
    EXPECT_EQ(target_reason(EROFS), FailReason::target_read_only);
    EXPECT_EQ(target_reason(EPERM), FailReason::target_permission);
    EXPECT_EQ(target_reason(ENAMETOOLONG), FailReason::target_name);
    EXPECT_EQ(target_reason(EILSEQ), FailReason::target_name);
    EXPECT_EQ(target_reason(EXDEV), FailReason::target_path);
    EXPECT_EQ(target_reason(ENOTDIR), FailReason::target_path);
    EXPECT_EQ(target_reason(ENOTEMPTY), FailReason::target_occupied);
    EXPECT_EQ(target_reason(EIO), FailReason::target_io);
    EXPECT_EQ(reason_error(FailReason::store_unknown, "why").text, "store_unknown: why");
}

}  // namespace
}  // namespace longhaul::storage::test
