// One thread's part of a sweep: a merge of two ordered walks, the tree on disk and the table of what is published.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "control/capture/shares.h"
#include "control/capture/sweep.h"

namespace longhaul::control {

// What the threads of one sweep have in common.
struct SweepParty {
    const SweepRequest& request;
    const std::atomic<bool>& stop;
    const Tree& tree;
    bool other_root = false;  // than before
    Shares shares;
    // Any thread may call. False: the sweep is to end early.
    std::function<bool(std::vector<Observation>&&, std::uint64_t objects, std::uint64_t bytes)> hand_in;
    std::function<void()> much_to_do;  // any thread calls, often
};

class Sweeper {
  public:
    Sweeper(SweepParty& party, std::unique_ptr<ObjectCursor> recorded)
        : party_(party), request_(party.request), tree_(party.tree), recorded_(std::move(recorded)) {
        result_.clean = true;
    }

    void begin();                    // the first thread
    void help();                     // every other one
    void adopt(Sweeper&& finished);  // what another thread has found
    void finish();                   // the first thread, when all are through and adopted

    const SweepResult& result() const { return result_; }
    std::uint64_t known_found() const { return known_found_; }
    bool stopped() const { return stopped_; }

  private:
    struct Frame {
        std::string directory, key;
        std::vector<std::string> names;
        std::size_t looked_at = 0;  // of the names
        Descriptor entered;         // while its entries are looked at: closed beneath it, a tree may be deep
        std::vector<Listed> entries;
        std::int64_t appeared_by_ns = 0;  // the directory, under this name: what is in it was not here before
        std::size_t next = 0;             // of the entries
        std::string end_key;              // of the rows in it; empty: those of the whole table
        std::string given_key;            // not empty: the rows from here on are another thread's
    };

    void look_again_at_racy();
    void begin_beneath();
    void work(Share&& share);
    void walk();
    void visit(Frame& in, const std::string& path, std::int64_t appeared_by_ns, Listed& entry);
    void enter(const std::string& directory, const std::string& key, std::int64_t appeared_by_ns);
    bool look_further(Frame& frame);
    void leave(Frame& frame);
    bool give_from(Frame& frame);
    void give_half();
    void open_directory(Frame& frame, Descriptor&& entered);
    void close_directory(Frame& frame);
    void cannot_read(const std::string& directory, const std::string& key, const std::string& why);
    bool at(std::string_view key) const { return recorded_->valid() && recorded_->key() == key; }
    void skip_rows_until(std::string_view key);
    void skip_to_end();
    void gone();
    bool leave_out_subtree(const std::string& key);
    bool compare(Frame& in, const std::string& path, const std::string& key, Observed now,
                 std::int64_t changed_by_ns);
    bool add_attributes(Frame& in, const std::string& path, const ObjectRecord* record, Observed& now);
    void trouble(std::string text);
    void unsupported(const std::string& path);
    void emit(Observation observation);
    void flush();

    SweepParty& party_;
    const SweepRequest& request_;
    const Tree& tree_;
    AttributeReader attributes_;
    std::unique_ptr<ObjectCursor> recorded_;
    std::string end_key_;  // of the rows that are this thread's now; empty: those of the whole table
    std::vector<Frame> stack_;
    SweepResult result_;
    std::vector<Observation> batch_;
    std::size_t looked_at_ = 0;
    std::uint64_t objects_handed_in_ = 0, bytes_handed_in_ = 0;
    std::vector<std::pair<std::string, std::int64_t>> racy_;  // and by when it had changed
    std::uint64_t known_found_ = 0;
    bool withhold_removals_ = false;
    bool stopped_ = false;
};

}  // namespace longhaul::control
