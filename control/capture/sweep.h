// One look at a whole source tree, merged with what is recorded as published: yields every path that differs.
//
// Both are walked in the same order (state/schema: key), so a sweep needs memory for one directory's names
// and finds removals without marking anything. A large one is shared out among threads (shares.h).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/capture/tree.h"
#include "control/state/state_store.h"

namespace longhaul::control {

struct SweepRequest {
    std::string root;
    std::string state_path;  // the SQLite file; read through a connection of the sweep's own
    std::int64_t dataset = 0;
    RootIdentity root_before;          // not known: the first sweep
    std::uint64_t objects_before = 0;  // recorded as published when the sweep began
    // Not empty: only this path and what lies beneath it, there or recorded. Such a sweep proves nothing of the whole;
    // it is not clean, and finds nothing, when the root is another one than before.
    std::string beneath;
    std::size_t threads = 1;  // at most; of a small sweep it is one
};

struct SweepResult {
    bool clean = false;    // every object was looked at: the sweep's start is a proven W_disc
    bool readable = true;  // false: the source itself is gone or is another one than before
    std::string problem;   // what kept it from being clean
    RootIdentity root;     // to be remembered; not known: keep the old one
    std::optional<std::int64_t> root_mtime_ns;  // before anything was looked at
    std::uint64_t objects = 0, bytes = 0;
    std::vector<std::string>
        unsupported;  // sockets, devices, fifos, foreign file systems (at most 100 named)
};

// Gets what was found in batches, a directory before its content, from one thread at a time. Returns false to end the sweep
// early; may block to slow it down.
using SweepSink = std::function<bool(std::vector<Observation>&&, const SweepResult& so_far)>;

SweepResult sweep(const SweepRequest& request, const SweepSink& sink, const std::atomic<bool>& stop);

// Looks again at single paths; those that cannot be told are left out.
std::vector<Observation> look_again(const std::string& root, const RootIdentity& expected,
                                    const std::vector<std::string>& paths);

}  // namespace longhaul::control
