// Errno into the named reason that the other site is told: one table for reading a source, one for a target.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dataplane/base/result.h"
#include "dataplane/wire/feedback.h"

namespace longhaul::storage {

wire::FailReason source_reason(int error_number) noexcept;  // error_number > 0
wire::FailReason target_reason(int error_number) noexcept;

// Of a staged file, where ENODATA is our own word for bytes that are not here and EBADMSG for a file of the wrong size;
// 0: none.
wire::FailReason staged_reason(int error_number) noexcept;

std::string error_text(int error_number);  // strerror, thread-safe

// An operator-visible failure whose text begins with the reason's name, e.g. "store_unknown: ...".
Error reason_error(wire::FailReason reason, const std::string& text);

// Our own words where errno has none.
inline constexpr int kAttributeRefused = 0x10001;  // the file system does not keep an attribute or ACL
inline constexpr int kLinkMissing = 0x10002;  // the file to make another name of is not there in this version

}  // namespace longhaul::storage
