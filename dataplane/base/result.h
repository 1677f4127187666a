// Result<T>: the channel for failures an operator must see: a code for programs, a text that says what to change.
// Peer and device misbehaviour does not travel here (drop reason + counter), nor do programmer errors (LH_ASSERT).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "dataplane/base/assert.h"

namespace longhaul {

enum class ErrorCode : unsigned char {
    invalid_argument,  // the caller or the configuration is wrong; the text says what to change
    not_found,
    already_exists,
    permission_denied,
    no_space,
    io_error,
    unavailable,     // a peer, device or process is not there now; retrying later may work
    exhausted,       // a named limit is reached
    protocol_error,  // bytes from outside do not parse
    internal,
};

const char* to_string(ErrorCode code) noexcept;

struct Error {
    ErrorCode code = ErrorCode::internal;
    std::string text;
};

template <typename T>
class [[nodiscard]] Result {
  public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    bool ok() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return ok(); }

    T& value() & {
        LH_ASSERT(ok());
        return *std::get_if<0>(&state_);
    }
    const T& value() const& {
        LH_ASSERT(ok());
        return *std::get_if<0>(&state_);
    }
    T&& value() && {
        LH_ASSERT(ok());
        return std::move(*std::get_if<0>(&state_));
    }
    const Error& error() const {
        LH_ASSERT(!ok());
        return *std::get_if<1>(&state_);
    }

  private:
    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
  public:
    Result() = default;
    Result(Error error) : error_(std::move(error)), ok_(false) {}

    bool ok() const noexcept { return ok_; }
    explicit operator bool() const noexcept { return ok_; }
    const Error& error() const {
        LH_ASSERT(!ok_);
        return error_;
    }

  private:
    Error error_{};
    bool ok_ = true;
};

}  // namespace longhaul
