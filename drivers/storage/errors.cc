// The two tables are kept side by side so that a new errno is decided for both sides at once.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/errors.h"

#include <cerrno>
#include <system_error>

namespace longhaul::storage {

using wire::FailReason;

FailReason source_reason(int error_number) noexcept {
    switch (error_number) {
        case 0:
            return FailReason::none;
        case ENOENT:
        case ENOTDIR:  // a directory of the path became a file
        case ESTALE:
            return FailReason::source_vanished;
        case ELOOP:  // a symlink stands where the walk saw a file or directory
        case EISDIR:
        case ENXIO:
            return FailReason::source_changed;
        case EACCES:
        case EPERM:
        case EXDEV:
            return FailReason::source_permission;  // the path leaves the store
        case EMFILE:
        case ENFILE:
            return FailReason::limit;
        case ECANCELED:
            return FailReason::cancelled;
        default:
            return FailReason::source_io;
    }
}

FailReason target_reason(int error_number) noexcept {
    switch (error_number) {
        case 0:
            return FailReason::none;
        case ENOSPC:
            return FailReason::target_no_space;
        case EDQUOT:
            return FailReason::target_quota;
        case EROFS:
            return FailReason::target_read_only;
        case EACCES:
        case EPERM:
            return FailReason::target_permission;
        case ENAMETOOLONG:
        case EILSEQ:
            return FailReason::target_name;
        case ELOOP:
        case EXDEV:
        case ENOTDIR:
        case ENOENT:
            return FailReason::target_path;
        case EISDIR:
        case EEXIST:
        case ENOTEMPTY:
        case EBUSY:
            return FailReason::target_occupied;
        case EMFILE:
        case ENFILE:
            return FailReason::limit;
        case ECANCELED:
            return FailReason::cancelled;
        case kAttributeRefused:
            return FailReason::target_attributes;
        case kLinkMissing:
            return FailReason::target_link;
        default:
            return FailReason::target_io;
    }
}

FailReason staged_reason(int error_number) noexcept {
    switch (error_number) {
        case ENODATA:
            return FailReason::staging_missing;
        case EBADMSG:
            return FailReason::integrity;
        default:
            return target_reason(error_number);
    }
}

std::string error_text(int error_number) {
    return std::generic_category().message(error_number);
}

Error reason_error(FailReason reason, const std::string& text) {
    ErrorCode code = ErrorCode::invalid_argument;
    if (reason == FailReason::store_unknown) code = ErrorCode::not_found;
    if (reason == FailReason::store_closed) code = ErrorCode::unavailable;
    return {code, std::string(wire::to_string(reason)) + ": " + text};
}

}  // namespace longhaul::storage
