// Writing, judging and reading a set of extended attributes.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/attributes.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>

#include "dataplane/base/assert.h"
#include "dataplane/base/bytes.h"

namespace longhaul::wire {

namespace {

constexpr std::size_t kFixedBytes = 5;
constexpr std::size_t kAttributeNameBytesMax = 255;  // Linux: XATTR_NAME_MAX
constexpr std::string_view kUser = "user.";

struct Piece {
    std::string_view name, value;
};

bool next_piece(ByteReader& reader, Piece& piece) noexcept {
    const std::size_t name_bytes = reader.u8();
    const std::size_t value_bytes = reader.u32();
    piece.name = as_text(reader.bytes(name_bytes));
    piece.value = as_text(reader.bytes(value_bytes));
    return reader.ok();
}

}  // namespace

bool attribute_travels(std::string_view name, bool directory) noexcept {
    if (name.starts_with(kUser)) return name.size() > kUser.size();
    return name == "system.posix_acl_access" || (directory && name == "system.posix_acl_default");
}

std::string write_attributes(std::vector<Attribute> attributes) {
    std::sort(attributes.begin(), attributes.end(),
              [](const Attribute& a, const Attribute& b) { return a.name < b.name; });
    std::vector<std::uint8_t> bytes;
    for (const Attribute& attribute : attributes) {
        LH_ASSERT(!attribute.name.empty() && attribute.name.size() <= kAttributeNameBytesMax &&
                  attribute.value.size() <= kAttributeValueMax);
        const std::size_t from = bytes.size();
        bytes.resize(from + kFixedBytes + attribute.name.size() + attribute.value.size());
        ByteWriter writer(MutableByteView(bytes).subspan(from));
        writer.u8(static_cast<std::uint8_t>(attribute.name.size()));
        writer.u32(static_cast<std::uint32_t>(attribute.value.size()));
        writer.bytes(as_bytes(attribute.name));
        writer.bytes(as_bytes(attribute.value));
    }
    return std::string(as_text(bytes));
}

std::uint64_t attributes_digest(std::string_view written) {
    if (written.empty()) return 0;
    std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest{};
    SHA256(as_bytes(written).data(), written.size(), digest.data());
    const std::uint64_t value = ByteReader(digest).u64();
    return value == 0 || value >= kAttributesDigestsEnd ? 1 : value;
}

const char* fault_of_attributes(std::string_view written, bool directory) noexcept {
    if (written.size() > kAttributesBytesMax)
        return "the extended attributes are longer than 128 KiB together";
    ByteReader reader(as_bytes(written));
    std::string_view before;
    while (reader.remaining() > 0) {
        Piece piece;
        if (!next_piece(reader, piece)) return "the extended attributes are cut off";
        if (piece.value.size() > kAttributeValueMax) return "an extended attribute is longer than 64 KiB";
        if (piece.name.find('\0') != std::string_view::npos || !attribute_travels(piece.name, directory))
            return "an extended attribute is neither of user.* nor a POSIX ACL: others do not travel";
        if (piece.name <= before) return "the extended attributes do not ascend by name";
        before = piece.name;
    }
    return nullptr;
}

std::vector<Attribute> read_attributes(std::string_view written) {
    std::vector<Attribute> attributes;
    ByteReader reader(as_bytes(written));
    while (reader.remaining() > 0) {
        Piece piece;
        LH_ASSERT(next_piece(reader, piece));
        attributes.push_back({std::string(piece.name), std::string(piece.value)});
    }
    return attributes;
}

}  // namespace longhaul::wire
