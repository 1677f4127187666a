// Changes of one dataset that are not yet published at the target: where each stands, and in what order they
// may go.
//
// A change is in exactly one list. Ready ones go directories first (parents before children, as a sweep finds
// them), then objects, then removals (children before parents), and last the directories whose mtime
// publishing has touched. What must wait for another path hangs under that path's name and comes back when
// that change has left. One change a path: what is seen of a path in flight is kept apart by the runner.
// What they take in memory is counted, for this dataset and for all: nobody here refuses any (overflow.h does).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "control/capture/difference.h"
#include "control/rpo/watermarks.h"
#include "dataplane/base/time.h"

namespace longhaul::control {

enum class Action : std::uint8_t {
    create,    // or overwrite: file, symlink, directory
    metadata,  // of a file
    remove,
    settle,  // a directory's mode, owner and mtime, once its content has been published
};

enum class Place : std::uint8_t {
    directories,
    objects,
    removes,
    settles,
    large,
    in_flight,
    backoff,
    waiting
};
inline constexpr std::size_t kPlacesListed = 7;  // all but `waiting`, which is a list per path

struct Change {
    std::string path;
    Fingerprint print;                        // of the source; of a removal only `kind` means something
    std::unique_ptr<std::string> link;        // a symlink's text
    std::unique_ptr<std::string> attributes;  // Observed::attributes
    std::unique_ptr<std::vector<RangeRecord>> holes;  // Observed::holes
    std::unique_ptr<std::string> link_to;  // the name that the target has this file under (same_file.cc)
    void describe(const Observed& now);    // print and all that goes with it
    Fingerprint print_at_target() const;   // what is recorded when it has been published
    SweepNumber first = 0;                 // the sweep that first saw it
    SweepNumber seen = 0;                  // the last sweep that confirmed it
    SweepNumber found = 0;                 // the sweep during which it was; 0: before this process
    Action action = Action::create;
    Place place = Place::objects;
    bool racy = false;
    bool arrived = false;     // every byte is at the target
    bool durable = false;     // implies arrived
    bool known = true;        // false: the fingerprint has to be looked up before it can be sent
    bool asked = false;       // that look-up is under way
    bool assemble = false;    // all ranges of a large file are durable
    bool again = false;       // touched once more while in flight
    bool moved = false;       // a removal: the file stands under another name now, nothing is lost by it
    bool takes_name = false;  // of a file that the target has: by removing or overwriting it
    bool promised = false;    // an epoch may have a place for it already, though no cut is set
    bool as_bytes = false;    // as a name of another file it was refused
    bool unheard_of = false;  // create: nothing was ever offered under its name, but perhaps this
    bool unsettled = false;   // settle: its row says so already (StateStore::directory_unsettle)
    std::uint32_t draft = 0;  // the bundle that took it last
    std::uint32_t bytes = 0;  // as counted
    bool may_be_missing =
        false;  // settle: its removal has landed, and a sweep may have met it at the source since
    // Consistency `ordered` only (release_queue.h):
    std::int64_t changed_by_ns = 0;  // upper bound of the source time of the change
    std::int64_t cut_ns = 0;         // of the epoch it belongs to; 0: of none yet
};

class Pending {
  public:
    using List = std::list<Change>;
    using Handle = List::iterator;

    Pending(SweepLedger& ledger, std::uint64_t& bytes_of_all)
        : ledger_(ledger), bytes_of_all_(bytes_of_all) {}
    ~Pending() { bytes_of_all_ -= bytes_; }
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;

    std::optional<Handle> find(std::string_view path);
    Handle insert(Change change);  // to the list its action belongs to
    void erase(Handle handle);     // done or void; what waited for it may go

    // Replaces what is to be done. `first` stays the older one; it becomes ready again.
    void replace(Handle handle, Action action, const Observed* now);
    void move(Handle handle, Place place);
    void ready(Handle handle);  // to the front of the list its action belongs to
    void back_off(Handle handle, TimeNs until);
    void release_due(TimeNs now);
    void set_arrived(Handle handle);
    void set_durable(Handle handle, bool durable);     // false: nor is it known to have arrived
    void set_first(Handle handle, SweepNumber first);  // only ever to an older one

    List& list(Place place) { return lists_[static_cast<std::size_t>(place)]; }
    const List& list(Place place) const { return lists_[static_cast<std::size_t>(place)]; }

    // A draft is a bundle being composed: what it has taken precedes what it takes next.
    void begin_draft();
    void take(Handle handle);  // into the draft, and into flight
    // Why this change cannot go into the draft: the path it has to wait for. nullopt: it may.
    std::optional<std::string> obstacle(const Change& change);
    void wait_for(Handle handle, const std::string& path);

    // A file that is to be created, and is the same as `print` under another name than `path`.
    const Change* heir_of(const Fingerprint& print, std::string_view path) const;
    // One that will have the file as soon as what is on its way has arrived: its bytes, its name, or its new metadata.
    const Change* giver_of(const Fingerprint& print, std::string_view path) const;
    // Whether the change of `path` makes its way without that of `asking`: neither in a circle nor behind one that fails.
    bool will_come(const std::string& path, const std::string& asking) const;
    void wake(std::string_view path);  // what waits for it may go

    bool settle_may_go(const Change& change) const;
    bool flies_into(const std::string& directory) const;           // a name is made or removed there
    bool removals_wait_under(const std::string& directory) const;  // not even in flight
    template <typename Visit>
    void for_each_listed(Visit visit) {  // everything but what is in flight; `visit` moves nothing
        const auto visit_all = [&](List& list) {
            for (auto change = list.begin(); change != list.end(); ++change)
                visit(change);
        };
        for (auto& list : lists_)
            if (&list != &lists_[static_cast<std::size_t>(Place::in_flight)]) visit_all(list);
        for (auto& [path, list] : waiting_)
            visit_all(list);
    }

    std::size_t size() const { return index_.size(); }
    std::uint64_t bytes() const { return bytes_; }    // of memory
    std::size_t removes() const { return removes_; }  // wherever they stand
    std::uint64_t undurable_bytes() const { return undurable_bytes_; }
    // Of the sweep whose changes hold the durable watermark back.
    std::uint64_t oldest_undurable_bytes() const {
        return bytes_by_sweep_.empty() ? 0 : bytes_by_sweep_.begin()->second;
    }
    bool main_active() const;      // something other than settling is ready or in flight
    const Change* oldest() const;  // for people

  private:
    static Place place_of(const Change& change);
    static bool has_file(const Change& change);
    void forget_file(const Change& change);
    template <typename Wanted>
    const Change* same_file(const Fingerprint& print, std::string_view path, Wanted wanted) const;
    static std::uint64_t weight(const Change& change);
    void weigh(const Change& change, bool in);
    void count_flying_creates(const Change& change, Place place);
    void count_in(const Change& change);
    void count_out(const Change& change);
    List& list_of(const Change& change);

    SweepLedger& ledger_;
    std::uint64_t& bytes_of_all_;
    std::uint64_t bytes_ = 0;
    PendingBySweep main_;  // all but settling
    std::size_t main_in_flight_ = 0;
    std::size_t removes_ = 0;
    std::uint64_t undurable_bytes_ = 0;
    std::map<SweepNumber, std::uint64_t> bytes_by_sweep_;  // what undurable_bytes_ consists of
    std::array<List, kPlacesListed> lists_;
    std::unordered_map<std::string, List> waiting_;                  // by the path waited for
    std::unordered_map<std::string, std::string> waits_for_;         // path -> the path it waits for
    std::unordered_multimap<std::uint64_t, const Change*> files_;    // by inode
    std::unordered_map<std::string_view, Handle> index_;             // keys live in the changes
    std::unordered_map<std::string, std::uint32_t> removes_under_;   // pending removals in each directory
    std::unordered_map<std::string, std::uint32_t> creates_flying_;  // names on their way into each directory
    std::unordered_map<std::string, std::uint32_t> removes_flying_;  // those of them in flight
    std::uint32_t draft_ = 0;
    std::unordered_map<std::string, std::uint32_t> removes_drafted_;  // of the draft, in each directory
    using Due = std::pair<TimeNs, std::string>;
    std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
};

}  // namespace longhaul::control
