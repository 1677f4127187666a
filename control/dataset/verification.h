// Which published objects, of files which stretches, both ends compare next, and what came of it. A large file is compared in
// stretches, so that no bundle reads for minutes. How far it has come is kept in the order of the objects, however the
// answers come: after a restart what was not answered is compared again, and nothing is counted twice. Reads no clock.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "control/state/records.h"

namespace longhaul::control {

class Verification {
  public:
    static constexpr std::uint64_t kStretchBytes = 64u << 20;

    struct Stretch {
        PublishedObject object;
        std::uint64_t offset = 0, length = 0;
        std::uint64_t batch = 0;
        bool last() const { return offset + length == object.bytes(); }
        bool whole() const { return length == object.bytes(); }
    };
    // What one bundle takes, of all that is to be compared: at least one stretch.
    class Draw {
      public:
        Draw(std::size_t entries_max, std::uint64_t bytes_max)
            : entries_max_(entries_max), bytes_max_(bytes_max) {}
        bool room() const;
        void take(Stretch&& stretch);
        void take_while_room(std::deque<Stretch>& from);
        std::vector<Stretch> taken;

      private:
        const std::size_t entries_max_;
        const std::uint64_t bytes_max_;
        std::uint64_t bytes_ = 0;
        std::size_t name_bytes_ = 0;
    };
    enum class Outcome : std::uint8_t {
        same,
        differs,
        metadata,  // differs in it, and in nothing else
        missing,
        changed,     // not compared: another version is on its way, or the source is not what it was
        unreadable,  // at the source
    };
    // Published objects in the order of their keys, from this key on.
    using Page = std::function<std::vector<PublishedObject>(const std::string& from_key, std::size_t most)>;

    explicit Verification(VerificationRecord record);

    void start(WallNs now);
    void stop(WallNs now);  // what has come of it so far stays to be seen
    bool running() const { return record_.started != 0 && record_.ended == 0; }
    const VerificationRecord& record() const { return record_; }

    // At least one, if any is left; those that came back first. Each is settled or given back later.
    std::vector<Stretch> draw(std::size_t entries_max, std::uint64_t bytes_max, const Page& page);
    void settle(const Stretch& stretch, Outcome outcome);
    void give_back(Stretch stretch) { again_.push_back(std::move(stretch)); }
    bool waits(const std::string& path) const;  // a stretch of it came back
    // Counts what is settled without a gap before it; ends when nothing is left. True: the record has changed.
    bool fold(WallNs now);

  private:
    struct Batch {
        std::string key;  // what it begins with
        std::uint64_t offset = 0;
        std::size_t left = 0;
        VerifyCounts counts;
    };

    VerificationRecord record_;
    std::string draw_key_;  // what is drawn next begins here
    std::uint64_t draw_offset_ = 0;
    bool drawn_all_ = false;
    std::deque<PublishedObject> page_;
    std::deque<Stretch> again_;
    std::map<std::uint64_t, Batch> batches_;  // by number, not yet counted
    std::uint64_t next_batch_ = 0;
};

}  // namespace longhaul::control
