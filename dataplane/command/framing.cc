// Frames on the Unix socket, JSON documents within them, and hex for what JSON cannot carry. Lengths are
// checked before anything waits or allocates for them.
// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "dataplane/base/assert.h"
#include "dataplane/command/messages.h"

namespace longhaul::command {

using nlohmann::json;

namespace {
constexpr std::size_t kPrefixBytes = 8;  // the two lengths

Error impossible(const std::string& what) {
    return Error{ErrorCode::protocol_error, "command frame: " + what};
}

int hex_digit(char digit) noexcept {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    return -1;
}
}  // namespace

std::vector<std::uint8_t> write_frame(const Frame& frame) {
    const std::size_t body_bytes = frame.json.size() + frame.blob.size();
    LH_ASSERT(body_bytes <= kFrameBytesMax);
    std::vector<std::uint8_t> out(kPrefixBytes + body_bytes);
    ByteWriter writer(out);
    writer.u32(static_cast<std::uint32_t>(body_bytes));
    writer.u32(static_cast<std::uint32_t>(frame.json.size()));
    writer.bytes(as_bytes(frame.json));
    writer.bytes(frame.blob);
    LH_ASSERT(writer.ok() && writer.room() == 0);
    return out;
}

Result<std::optional<Frame>> take_frame(std::vector<std::uint8_t>& buffer) {
    ByteReader reader(buffer);
    const std::uint32_t body_bytes = reader.u32();
    if (!reader.ok()) return std::optional<Frame>{};
    if (body_bytes > kFrameBytesMax)
        return impossible("body of " + std::to_string(body_bytes) + " bytes is above the limit of " +
                          std::to_string(kFrameBytesMax));
    const std::uint32_t json_bytes = reader.u32();
    if (!reader.ok()) return std::optional<Frame>{};
    if (json_bytes > body_bytes)
        return impossible("JSON of " + std::to_string(json_bytes) + " bytes does not fit the body of " +
                          std::to_string(body_bytes));
    if (reader.remaining() < body_bytes) return std::optional<Frame>{};

    Frame frame;
    frame.json = as_text(reader.bytes(json_bytes));
    const ByteView blob = reader.bytes(body_bytes - json_bytes);
    frame.blob.assign(blob.begin(), blob.end());
    buffer.erase(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(kPrefixBytes + body_bytes));
    return std::optional<Frame>(std::move(frame));
}

std::string write_document(const json& document) {
    return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<json> parse_document(std::string_view text) {
    json document = json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
    if (document.is_discarded())
        return Error{ErrorCode::protocol_error, "command frame: not a JSON document"};
    if (!document.is_object())
        return Error{ErrorCode::protocol_error, "command frame: must be a JSON object"};
    return document;
}

std::string hex(ByteView bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const std::uint8_t byte : bytes) {
        text.push_back(kDigits[byte >> 4]);
        text.push_back(kDigits[byte & 15]);
    }
    return text;
}

Result<std::vector<std::uint8_t>> unhex(std::string_view text) {
    if (text.size() % 2 != 0)
        return Error{ErrorCode::protocol_error, "hex text: the number of digits must be even"};
    std::vector<std::uint8_t> bytes;
    bytes.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const int high = hex_digit(text[i]);
        const int low = hex_digit(text[i + 1]);
        if (high < 0 || low < 0)
            return Error{ErrorCode::protocol_error, "hex text: only 0-9 and a-f are digits"};
        bytes.push_back(static_cast<std::uint8_t>(high << 4 | low));
    }
    return bytes;
}

}  // namespace longhaul::command
