// Which names may be handed to the file system, and the text form of bundle ids.
// SPDX-License-Identifier: Apache-2.0
#include <charconv>

#include "dataplane/wire/manifest.h"

namespace longhaul::wire {
namespace {

constexpr std::string_view kStagingName = ".longhaul";  // ours, at the root of every target store
constexpr std::size_t kIdDigits = 32;

bool name_is_safe(std::string_view name) noexcept {
    return !name.empty() && name != "." && name != ".." && name.size() <= kNameBytesMax;
}

bool parse_hex(std::string_view digits, std::uint64_t& out) noexcept {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out, 16);
    return error == std::errc{} && end == digits.data() + digits.size();
}

void append_hex(std::uint64_t value, std::string& out) {
    for (int shift = 60; shift >= 0; shift -= 4)
        out.push_back("0123456789abcdef"[value >> shift & 0xf]);
}

}  // namespace

bool path_is_safe(std::string_view path) noexcept {
    if (path.empty() || path.size() > kPathBytesMax || path.find('\0') != std::string_view::npos)
        return false;
    if (path.substr(0, path.find('/')) == kStagingName) return false;
    for (;;) {
        const std::size_t slash = path.find('/');
        if (!name_is_safe(path.substr(0, slash))) return false;
        if (slash == std::string_view::npos) return true;
        path.remove_prefix(slash + 1);
    }
}

std::string to_string(const BundleId& id) {
    std::string text;
    text.reserve(kIdDigits);
    append_hex(id.high, text);
    append_hex(id.low, text);
    return text;
}

Result<BundleId> parse_bundle_id(std::string_view text) {
    BundleId id;
    if (text.size() != kIdDigits || !parse_hex(text.substr(0, 16), id.high) ||
        !parse_hex(text.substr(16), id.low)) {
        return Error{ErrorCode::invalid_argument, "a bundle id is exactly 32 hexadecimal digits"};
    }
    return id;
}

}  // namespace longhaul::wire
