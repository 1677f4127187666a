// The extended attributes and POSIX ACLs of an object at the source, those that travel (wire/attributes).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "control/capture/descriptor.h"
#include "dataplane/base/result.h"

namespace longhaul::control {

// As wire/attributes writes them; `fd` may be O_PATH. Those of a file system without attributes are empty.
Result<std::string> attributes_of(int fd, bool directory);

// Of many names in one directory after another. Linux reads attributes by no directory descriptor, and a path through /proc
// costs more than all else that is looked at: so the calling thread has a working directory of its own meanwhile.
class AttributeReader {
  public:
    AttributeReader();
    AttributeReader(const AttributeReader&) = delete;
    AttributeReader& operator=(const AttributeReader&) = delete;
    ~AttributeReader();  // on the same thread: its working directory is what it was

    void enter(int directory);  // borrowed, until leave()
    void leave();               // holds no directory any more
    // Of what stands under a name there, not of what a symlink points to. not_found: it has gone.
    Result<std::string> read(const std::string& name, bool directory) const;

  private:
    Descriptor before_;  // not valid: this thread must not have one
    int entered_ = -1;
    bool inside_ = false;
};

}  // namespace longhaul::control
