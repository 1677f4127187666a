// The threads of one sweep, and what their results say together.
// SPDX-License-Identifier: Apache-2.0
#include "control/capture/sweep.h"

#include <algorithm>
#include <list>
#include <mutex>
#include <thread>

#include "control/capture/sweeper.h"

namespace longhaul::control {

namespace {

// The root's device or inode is not the one of the last sweep: mounted anew, or not mounted at all.
// Nothing was taken as removed. It is adopted when at least half of what was known is there.
void judge_other_root(const SweepRequest& request, const RootIdentity& found, std::uint64_t known_found,
                      SweepResult& result) {
    result.clean = false;
    const bool nothing_known = request.objects_before == 0;
    if (nothing_known || (result.objects > 0 && known_found * 2 >= request.objects_before)) {
        if (result.problem.empty())
            result.problem = "the source was mounted anew; nothing counts as removed until the next sweep";
        return;
    }
    result.readable = false;
    result.root = {};
    result.problem =
        "source directory " + shown_path(request.root) + " is another one than before (device " +
        std::to_string(request.root_before.device) + " -> " + std::to_string(found.device) + ") and holds " +
        std::to_string(known_found) + " of " + std::to_string(request.objects_before) +
        " known objects: mount the right file system, or remove the dataset and create it again; "
        "nothing is deleted at the target";
}

// The sink is called by one thread at a time.
class Crew {
  public:
    Crew(const SweepRequest& request, const SweepSink& sink, const std::atomic<bool>& stop, const Tree& tree)
        : sink_(sink), party_{request, stop, tree} {
        party_.other_root = request.root_before.known() && request.root_before != tree.identity();
        party_.hand_in = [this](std::vector<Observation>&& seen, std::uint64_t objects, std::uint64_t bytes) {
            const std::scoped_lock lock(mutex_);
            so_far_.objects += objects;
            so_far_.bytes += bytes;
            return sink_(std::move(seen), so_far_);
        };
        party_.much_to_do = [this] { std::call_once(called_, [this] { call_helpers(); }); };
    }

    SweepResult run(std::unique_ptr<ObjectCursor> recorded) {
        Sweeper first(party_, std::move(recorded));
        first.begin();
        for (auto& thread : threads_)
            thread.join();
        for (auto& helper : helpers_)
            first.adopt(std::move(helper));
        first.finish();
        SweepResult result = first.result();
        result.root = party_.tree.identity();
        result.root_mtime_ns = party_.tree.mtime_ns();
        if (first.stopped()) {
            result.clean = false;
            if (result.problem.empty()) result.problem = "the sweep was interrupted";
        } else if (party_.other_root) {
            judge_other_root(party_.request, party_.tree.identity(), first.known_found(), result);
        }
        return result;
    }

  private:
    void call_helpers() {
        const SweepRequest& request = party_.request;
        for (std::size_t i = 1; i < request.threads; ++i) {
            auto recorded = ObjectCursor::open(request.state_path, request.dataset);
            if (!recorded) return;  // the sweep does without
            Sweeper& helper = helpers_.emplace_back(party_, std::move(recorded).value());
            threads_.emplace_back([&helper] { helper.help(); });
        }
    }

    const SweepSink& sink_;
    SweepParty party_;
    std::mutex mutex_;
    SweepResult so_far_;
    std::once_flag called_;
    std::list<Sweeper> helpers_;
    std::vector<std::thread> threads_;
};

}  // namespace

SweepResult sweep(const SweepRequest& request, const SweepSink& sink, const std::atomic<bool>& stop) {
    SweepResult failed;
    failed.readable = false;
    auto tree = Tree::open(request.root);
    if (!tree) {
        failed.problem = tree.error().text;
        return failed;
    }
    const RootIdentity& found = tree.value().identity();
    if (!request.beneath.empty() && request.root_before.known() && request.root_before != found) {
        SweepResult other;
        other.root = found;
        other.problem = "the source directory is another one than before";
        return other;
    }
    auto cursor = ObjectCursor::open(request.state_path, request.dataset);
    if (!cursor) {
        failed.problem = cursor.error().text;
        return failed;
    }
    return Crew(request, sink, stop, tree.value()).run(std::move(cursor).value());
}

std::vector<Observation> look_again(const std::string& root, const RootIdentity& expected,
                                    const std::vector<std::string>& paths) {
    std::vector<Observation> seen;
    auto tree = Tree::open(root);
    if (!tree || (expected.known() && tree.value().identity() != expected)) return seen;
    for (const auto& path : paths) {
        auto found = tree.value().look(path);
        if (!found) continue;
        auto now = std::move(found).value();
        const auto changed_by_ns = now ? now->changed_by_ns() : file_clock();
        seen.push_back({path, std::move(now), changed_by_ns});
    }
    return seen;
}

}  // namespace longhaul::control
