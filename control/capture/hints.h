// The one interface of whatever says sooner than a sweep that something has changed: hints are estimates, listings proofs.
//
// A hint names a path that may have changed. It causes a look at that path, and what is seen there goes the way of a
// sweep's findings; a watermark rises by sweeps alone. A feed that has lost sight says so, and a sweep makes up for it:
// never silence. Today's feed is fanotify (capture/fanotify_feed); the notifications of an object store fit the same shape.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "control/core.h"

namespace longhaul::control {

struct Hint {
    std::string path;
    bool whole =
        false;  // a directory came or went with its content: what lies beneath brings no hints of its own
    bool operator==(const Hint&) const = default;
};

struct Hints {
    std::vector<Hint> paths;  // ascending: a directory before its content
    std::string lost;         // not empty: why only a sweep can tell what has changed
};

class ChangeFeed {
  public:
    virtual ~ChangeFeed() = default;

    // On the thread that sweeps, before a sweep looks at anything. From then on every change is hinted, or `lost` is
    // said, or the view has told why there are only sweeps. May block as long as the source does.
    virtual void arm() = 0;
    // What is due by now. Any thread; never blocks. Wakes (see MakeFeed) are held back until the next call.
    virtual Hints take() = 0;
    virtual CaptureView view() const = 0;  // any thread
};

}  // namespace longhaul::control
