// Interval arithmetic, and the names that ranges and bundles get.
// SPDX-License-Identifier: Apache-2.0
#include "control/dataset/large.h"

#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <vector>

#include "dataplane/base/assert.h"
#include "dataplane/base/bytes.h"

namespace longhaul::control {

void Intervals::add(std::uint64_t from, std::uint64_t length) {
    if (length == 0) return;
    std::uint64_t to = from + length;
    auto next = spans_.upper_bound(from);
    if (next != spans_.begin() && std::prev(next)->second >= from) --next;
    while (next != spans_.end() && next->first <= to) {
        from = std::min(from, next->first);
        to = std::max(to, next->second);
        total_ -= next->second - next->first;
        next = spans_.erase(next);
    }
    spans_.emplace(from, to);
    total_ += to - from;
}

void Intervals::remove(std::uint64_t from, std::uint64_t length) {
    const std::uint64_t to = from + length;
    auto next = spans_.upper_bound(from);
    if (next != spans_.begin()) --next;
    while (next != spans_.end() && next->first < to) {
        const auto [left, right] = *next;
        if (right <= from) {
            ++next;
            continue;
        }
        next = spans_.erase(next);
        total_ -= right - left;
        if (left < from) {
            spans_.emplace(left, from);
            total_ += from - left;
        }
        if (right > to) {
            spans_.emplace(to, right);
            total_ += right - to;
        }
    }
}

bool Intervals::covers(std::uint64_t from, std::uint64_t length) const {
    const auto next = spans_.upper_bound(from);
    return next != spans_.begin() && std::prev(next)->second >= from + length;
}

RangeRecord Intervals::gap(std::uint64_t end, std::uint64_t most) const {
    std::uint64_t from = 0;
    auto next = spans_.begin();
    if (next != spans_.end() && next->first == 0) {
        from = next->second;
        ++next;
    }
    if (from >= end) return {};
    const std::uint64_t to = std::min(next != spans_.end() ? next->first : end, end);
    return {from, std::min(to - from, most)};
}

wire::ObjectKey object_key(std::string_view dataset, std::string_view path, const Fingerprint& print) {
    // Lengths come first, so that no two (dataset, path) pairs give the same bytes.
    std::vector<std::uint8_t> bytes(48 + dataset.size() + path.size());
    ByteWriter writer(bytes);
    writer.u64(dataset.size());
    writer.bytes(as_bytes(dataset));
    writer.u64(path.size());
    writer.bytes(as_bytes(path));
    writer.u64(print.size);
    writer.i64(print.mtime_ns);
    writer.i64(print.ctime_ns);
    writer.u64(print.inode);
    LH_ASSERT(writer.ok());
    std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest{};
    SHA256(bytes.data(), bytes.size(), digest.data());
    ByteReader reader(digest);
    const std::uint64_t high = reader.u64();
    return {high, reader.u64()};
}

wire::BundleId random_bundle_id() {
    std::array<std::uint8_t, 16> bytes{};
    LH_ASSERT(RAND_bytes(bytes.data(), bytes.size()) == 1);
    ByteReader reader(bytes);
    const std::uint64_t high = reader.u64();
    return {high, reader.u64()};
}

}  // namespace longhaul::control
