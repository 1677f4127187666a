// SPDX-License-Identifier: Apache-2.0
#include "dataplane/base/result.h"

namespace longhaul {

const char* to_string(ErrorCode code) noexcept {
    switch (code) {
        case ErrorCode::invalid_argument:
            return "invalid_argument";
        case ErrorCode::not_found:
            return "not_found";
        case ErrorCode::already_exists:
            return "already_exists";
        case ErrorCode::permission_denied:
            return "permission_denied";
        case ErrorCode::no_space:
            return "no_space";
        case ErrorCode::io_error:
            return "io_error";
        case ErrorCode::unavailable:
            return "unavailable";
        case ErrorCode::exhausted:
            return "exhausted";
        case ErrorCode::protocol_error:
            return "protocol_error";
        case ErrorCode::internal:
            return "internal";
    }
    return "internal";
}

}  // namespace longhaul
