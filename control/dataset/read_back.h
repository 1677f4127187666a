// Which of the files that were published lately are read back from the target's disk, and what came of it. Bounded: what finds
// no room is counted as not read back. What differed is sent again and read back again, at longer and longer intervals, so that
// a disk which keeps nothing is not written to without end. Kept in memory alone: after a restart nothing waits. Reads no clock.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/dataset/verification.h"
#include "dataplane/base/time.h"

namespace longhaul::control {

class ReadBack {
  public:
    static constexpr std::size_t kFilesMax = 16384;  // about 2.5 MiB
    static constexpr std::size_t kTroubledMax = 1024;

    using Stretch = Verification::Stretch;
    using Outcome = Verification::Outcome;
    struct File {  // a version, as far as its bytes go
        std::string path;
        std::uint64_t size = 0;
        std::int64_t mtime_ns = 0;
    };
    // The object as it is recorded now; nullopt: it is not that version any more, or a change of it is pending.
    using Look = std::function<std::optional<PublishedObject>(const File& file)>;

    explicit ReadBack(double share) : share_(share) {}  // of the files published; 0 to 1

    void published(const std::string& path, const Fingerprint& print, TimeNs now);
    void release_due(TimeNs now);
    bool waits() const { return !files_.empty() || !again_.empty(); }
    // Those that came back first; none although some wait: it has looked enough for now. Each is settled or given back later.
    std::vector<Stretch> draw(std::size_t entries_max, std::uint64_t bytes_max, const Look& look);
    void settle(const Stretch& stretch, Outcome outcome, TimeNs now);
    void give_back(Stretch stretch) { again_.push_back(std::move(stretch)); }
    bool waits_for(const std::string& path) const;  // a stretch of it came back
    ReadBackCounts counts() const;

  private:
    struct Trouble {  // it differed when it was last read back
        unsigned times = 0;
        TimeNs not_before = 0;  // is it read back again
    };
    void remember_trouble(const std::string& path, TimeNs now);
    void forget_trouble(TimeNs now);

    const double share_;
    double earned_ = 0;  // files; one is taken when it has reached 1
    std::deque<File> files_;
    std::optional<PublishedObject> begun_;  // the first of files_
    std::uint64_t offset_ = 0;              // of what is drawn next of it
    std::deque<Stretch> again_;
    std::unordered_map<std::string, Trouble> troubled_;
    TimeNs forgot_at_ = 0;
    std::multimap<TimeNs, File> later_;  // troubled ones that were sent again
    ReadBackCounts counts_;
};

}  // namespace longhaul::control
