// Which observations to believe when several eyes look at one source at the same time and hand in later what they saw.
//
// A sweep hands in by batches, a scan and a batch of look-ups when they are through: so what arrives last need not be what
// was seen last. Rule: an eye is believed about a path unless another eye has spoken of it since this one's job began.
// Otherwise nobody knows which is newer, and the path is looked at once more. Pure; owned by the dataset's runner.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace longhaul::control {

inline bool is_beneath(std::string_view path, std::string_view directory) noexcept {
    return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/';
}

class Crossings {
  public:
    enum Eye : std::size_t { kSweep, kScan, kLooks };
    static constexpr std::size_t kRememberedMax = 65'536;  // paths a job

    void begin_sweep() { begin(kSweep); }
    void begin_scan(const std::string& directory) { begin(kScan).directory = directory; }
    void begin_looks(const std::vector<std::string>& paths) {
        begin(kLooks).asked.insert(paths.begin(), paths.end());
    }
    // True: more was handed in meanwhile than could be remembered, so something older may have been believed.
    bool end(Eye eye) {
        const bool forgot = jobs_[eye].forgot;
        jobs_[eye] = {};
        return forgot;
    }

    // `eye` hands in what it saw of `path`. True: it is believed, and so the others know that it has spoken.
    bool believed(Eye eye, const std::string& path) {
        if (jobs_[eye].spoken_of.contains(path)) return false;
        for (std::size_t other = 0; other < jobs_.size(); ++other)
            if (other != eye && jobs_[other].running && may_speak_of(jobs_[other], other, path))
                remember(jobs_[other], path);
        return true;
    }

  private:
    struct Job {
        bool running = false, forgot = false;
        std::unordered_set<std::string> spoken_of;  // by others, since it began
        std::string directory;                      // of a scan
        std::unordered_set<std::string> asked;      // of look-ups
    };

    Job& begin(std::size_t eye) {
        jobs_[eye] = {};
        jobs_[eye].running = true;
        return jobs_[eye];
    }
    static bool may_speak_of(const Job& job, std::size_t eye, const std::string& path) {
        if (eye == kScan) return path == job.directory || is_beneath(path, job.directory);
        return eye == kSweep || job.asked.contains(path);
    }
    static void remember(Job& job, const std::string& path) {
        if (job.spoken_of.size() < kRememberedMax)
            job.spoken_of.insert(path);
        else
            job.forgot = true;
    }

    std::array<Job, 3> jobs_;
};

}  // namespace longhaul::control
