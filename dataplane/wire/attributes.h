// Extended attributes of a file or directory: which of them travel, and the one way in which they are written. POSIX
// ACLs are such attributes too. What a peer sends is judged here, so that a manifest sets nothing on a target that could
// lend privileges (security.capability), change the target's own policy (security.selinux, trusted.*) or steer its kernel.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace longhaul::wire {

inline constexpr std::size_t kAttributesBytesMax = 128u << 10;  // of one object, as written
inline constexpr std::size_t kAttributeValueMax = 64u << 10;    // Linux: XATTR_SIZE_MAX

struct Attribute {
    std::string name, value;
    bool operator==(const Attribute&) const = default;
};

// `user.*`, and the POSIX ACLs; a default ACL of directories only.
bool attribute_travels(std::string_view name, bool directory) noexcept;

// The only bytes for this set: ascending by name; u8 name bytes, u32 value bytes, name, value each. Names have 1 to 255
// bytes, values at most kAttributeValueMax, none stands twice; the whole may be longer than kAttributesBytesMax, which
// fault_of_attributes() refuses.
std::string write_attributes(std::vector<Attribute> attributes);
// What tells two sets apart without having both: 0 of none, otherwise 64 bits of SHA-256 of them as written.
std::uint64_t attributes_digest(std::string_view written);
inline constexpr std::uint64_t kAttributesDigestsEnd = ~std::uint64_t{0} - 15;  // every digest is below
// nullptr, or what is wrong with bytes from outside.
const char* fault_of_attributes(std::string_view written, bool directory) noexcept;
// Of bytes without fault.
std::vector<Attribute> read_attributes(std::string_view written);

}  // namespace longhaul::wire
