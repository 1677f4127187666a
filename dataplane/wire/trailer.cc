// The trailer's codec: the source's verdict on every entry, five bytes each.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/manifest.h"

namespace longhaul::wire {
namespace {

constexpr std::uint32_t kTrailerMagic = 0x4c485431;  // "LHT1"
constexpr std::size_t kTrailerFixedBytes = 32;
constexpr std::size_t kVerdictBytes = 5;

Error malformed(const char* text) {
    return {ErrorCode::protocol_error, text};
}

}  // namespace

Result<std::uint32_t> parse_trailer_bytes(ByteView first_bytes) {
    ByteReader reader(first_bytes);
    const std::uint32_t magic = reader.u32();
    const std::uint32_t bytes = reader.u32();
    if (!reader.ok()) return malformed("the bundle trailer is cut off before its prefix ends");
    if (magic != kTrailerMagic) return malformed("the bundle trailer does not begin with LHT1");
    if (bytes < kTrailerFixedBytes || bytes > kTrailerFixedBytes + kEntriesMax * kVerdictBytes ||
        (bytes - kTrailerFixedBytes) % kVerdictBytes != 0) {
        return malformed("the bundle trailer claims an impossible length");
    }
    return bytes;
}

std::vector<std::uint8_t> write_trailer(const Trailer& trailer) {
    LH_ASSERT(trailer.verdicts.size() <= kEntriesMax);
    std::vector<std::uint8_t> out(kTrailerFixedBytes + trailer.verdicts.size() * kVerdictBytes);
    ByteWriter writer(out);
    writer.u32(kTrailerMagic);
    writer.u32(static_cast<std::uint32_t>(out.size()));
    writer.u64(trailer.id.high);
    writer.u64(trailer.id.low);
    writer.u32(trailer.generation);
    writer.u32(static_cast<std::uint32_t>(trailer.verdicts.size()));
    for (const EntryVerdict& verdict : trailer.verdicts) {
        LH_ASSERT(is_known(verdict.reason));
        writer.u8(static_cast<std::uint8_t>(verdict.reason));
        writer.u32(verdict.crc32c);
    }
    LH_ASSERT(writer.ok() && writer.room() == 0);
    return out;
}

Result<Trailer> parse_trailer(ByteView bytes) {
    const auto total = parse_trailer_bytes(bytes);
    if (!total) return total.error();
    if (total.value() != bytes.size())
        return malformed("the bundle trailer's length differs from what it claims");
    ByteReader reader(bytes.subspan(kTrailerPrefixBytes));
    Trailer trailer;
    trailer.id.high = reader.u64();
    trailer.id.low = reader.u64();
    trailer.generation = reader.u32();
    const std::size_t count = reader.u32();
    if (count * kVerdictBytes != reader.remaining()) {
        return malformed("the bundle trailer's verdict count differs from its length");
    }
    trailer.verdicts.resize(count);
    for (EntryVerdict& verdict : trailer.verdicts) {
        verdict.reason = static_cast<FailReason>(reader.u8());
        verdict.crc32c = reader.u32();
        if (!is_known(verdict.reason)) return malformed("the bundle trailer names an unknown reason");
    }
    return trailer;
}

}  // namespace longhaul::wire
