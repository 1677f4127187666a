// A file that travels in ranges, because it is too large for one bundle or has holes: which ranges of which version are
// durable, which are on their way. Holes are durable as they are.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string_view>

#include "control/state/records.h"
#include "dataplane/wire/manifest.h"

namespace longhaul::control {

class Intervals {  // disjoint [from, to)
  public:
    void add(std::uint64_t from, std::uint64_t length);
    void remove(std::uint64_t from, std::uint64_t length);
    bool covers(std::uint64_t from, std::uint64_t length) const;
    // The first stretch below `end` that is not covered, at most `most` long; length 0: there is none.
    RangeRecord gap(std::uint64_t end, std::uint64_t most) const;
    std::uint64_t total() const { return total_; }
    void clear() {
        spans_.clear();
        total_ = 0;
    }

  private:
    std::map<std::uint64_t, std::uint64_t> spans_;  // from -> to
    std::uint64_t total_ = 0;
};

// Of a file that is one hole: no range of it is ever staged (wire::EntryKind::assemble).
inline constexpr wire::ObjectKey kHollowObject{};

struct Large {
    wire::ObjectKey key;
    std::uint64_t size = 0;
    std::uint64_t hole_bytes = 0;
    Intervals arrived;
    Intervals durable;
    Intervals taken;  // durable or on its way
    void add_durable(const RangeRecord& range) {
        arrived.add(range.offset, range.length);
        durable.add(range.offset, range.length);
        taken.add(range.offset, range.length);
        if (range.hole) hole_bytes += range.length;
    }
    void become_hollow() {
        key = kHollowObject;
        add_durable({0, size, true});
    }
    bool all_arrived() const { return arrived.total() == size; }
    bool complete() const { return durable.total() == size; }
};

// The first 128 bits of SHA-256 over everything that names this version, so that two versions never share a
// staging file.
wire::ObjectKey object_key(std::string_view dataset, std::string_view path, const Fingerprint& print);

wire::BundleId random_bundle_id();

}  // namespace longhaul::control
