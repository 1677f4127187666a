// One fanotify group that watches the file system of one directory: the system calls, and nothing that waits.
//
// It holds no descriptor of the file system between two calls: an open one would keep the source from being unmounted.
// So the root is opened for each batch, and counts only while it is the directory that was marked. The kernel drops a
// mark without a word when its file system goes; marked() finds out from what /proc says of our own descriptor.
// Needs CAP_SYS_ADMIN (marks of file systems) and CAP_DAC_READ_SEARCH (handles). One thread at a time.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "control/capture/tree.h"

namespace longhaul::control {

struct Heard {  // of one or more events
    std::string path;
    bool whole = false;          // see Hint
    bool still_written = false;  // its writer has not closed it yet
};

struct HeardBatch {
    std::vector<Heard> paths;
    std::string lost;  // not empty: events are missing, and why
    std::uint64_t events = 0;
    std::uint64_t nearby = 0;  // of them: elsewhere on the file system, or in directories that are gone
    bool more = false;         // the kernel had more than one buffer full
};

class FanotifyGroup {
  public:
    // Refused with the reason in words for whoever reads the dataset's view.
    static Result<std::unique_ptr<FanotifyGroup>> open(const std::string& directory);

    int descriptor() const { return group_.get(); }
    // The directory is the one that was marked, and the mark is still there.
    bool marked() const;
    // What has been heard since the last call, at most one buffer full; never waits.
    HeardBatch read();

  private:
    FanotifyGroup(std::string directory, RootIdentity root, Descriptor group);

    const std::string directory_;
    const RootIdentity root_;
    Descriptor group_;
    std::vector<std::uint8_t> buffer_;
};

}  // namespace longhaul::control
