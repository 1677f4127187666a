// The head's codec. What makes a manifest acceptable is said once, in first_fault(), and holds for writer and
// parser.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/manifest.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "dataplane/wire/attributes.h"

namespace longhaul::wire {
namespace {

constexpr std::uint32_t kHeadMagic = 0x4c484d35;       // "LHM5"
constexpr std::uint32_t kHeadMagicVersionMask = 0xff;  // one ASCII digit
constexpr std::uint8_t kFlagAttributes = 0x01;
constexpr std::size_t kAttributesLengthBytes = 4;  // before the path, with kFlagAttributes only
constexpr std::size_t kManifestFixedBytes = kHeadPrefixBytes + 16;
constexpr std::size_t kPlaceBytes = 16;  // in_order only, before the entries
constexpr std::size_t kEntryFixedBytes = 40;
constexpr std::uint32_t kModeMax = 07777;
constexpr std::uint64_t kFileBytesMax = std::numeric_limits<std::int64_t>::max();  // off_t

bool is_known(EntryKind kind) noexcept {
    return kind >= EntryKind::file && kind <= EntryKind::verify;
}

bool has_payload(EntryKind kind) noexcept {
    return kind == EntryKind::file || kind == EntryKind::range;
}

// Bytes that only this kind carries, between the fixed part and the names.
std::size_t kind_bytes(EntryKind kind) noexcept {
    switch (kind) {
        case EntryKind::file:
            return 8;
        case EntryKind::range:
            return 40;
        case EntryKind::assemble:
            return 24;
        case EntryKind::verify:
            return 25;
        case EntryKind::directory:
        case EntryKind::symlink:
        case EntryKind::remove:
        case EntryKind::metadata:
        case EntryKind::mark:
        case EntryKind::link:
            break;
    }
    return 0;
}

bool may_have_attributes(EntryKind kind) noexcept {
    return has_payload(kind) || kind == EntryKind::assemble || kind == EntryKind::directory ||
           kind == EntryKind::metadata || kind == EntryKind::link;
}

std::size_t bytes_of(const Entry& entry) noexcept {
    const std::size_t attributes =
        entry.attributes.empty() ? 0 : kAttributesLengthBytes + entry.attributes.size();
    return kEntryFixedBytes + kind_bytes(entry.kind) + entry.path.size() + entry.target.size() + attributes;
}

const char* fault_of_entry_attributes(const Entry& entry) noexcept {
    if (entry.attributes.empty()) return nullptr;
    if (!may_have_attributes(entry.kind)) return "only files and directories have extended attributes";
    // What a metadata entry is of is known to the target alone; it refuses a default ACL of a file.
    const bool directory = entry.kind == EntryKind::directory || entry.kind == EntryKind::metadata;
    return fault_of_attributes(entry.attributes, directory);
}

const char* fault_of_names(const Entry& entry) noexcept {
    const bool path_may_be_empty =
        entry.kind == EntryKind::range || entry.kind == EntryKind::mark || compares_names(entry);
    if (entry.kind == EntryKind::mark && !entry.path.empty()) return "a mark has no path";
    if (!(entry.path.empty() && path_may_be_empty) && !path_is_safe(entry.path)) {
        return "the path must be relative, without empty, \".\" or \"..\" names, outside .longhaul, names at "
               "most 255 "
               "and the whole at most 4095 bytes";
    }
    if (entry.kind == EntryKind::link) {
        const bool names_another = path_is_safe(entry.target) && entry.target != entry.path;
        return names_another ? nullptr : "a link names another file of the store by a path like any other";
    }
    const bool has_text = entry.kind == EntryKind::symlink ||
                          (entry.kind == EntryKind::verify && entry.compared == EntryKind::symlink);
    if (!has_text) return entry.target.empty() ? nullptr : "only symlinks and links have a target";
    if (entry.target.empty() || entry.target.size() > kPathBytesMax ||
        entry.target.find('\0') != std::string::npos) {
        return "a symlink's text has 1 to 4095 bytes and no NUL";
    }
    return nullptr;
}

const char* fault_of_stretch(const Entry& entry, const char* outside) noexcept {
    if (entry.file_size > kFileBytesMax) return "the size is beyond what a file can have";
    if (entry.file_offset > entry.file_size || entry.size > entry.file_size - entry.file_offset)
        return outside;
    if (entry.size >= kDirectBytesMin && entry.file_offset % kDirectAlignment != 0) {
        return "a stretch of 64 KiB or more must start on a multiple of 4096 in its file";
    }
    return nullptr;
}

const char* fault_of_comparison(const Entry& entry) noexcept {
    const bool file = entry.compared == EntryKind::file, symlink = entry.compared == EntryKind::symlink;
    const bool directory = entry.compared == EntryKind::directory;
    if (!file && !symlink && !directory) return "files, directories and symlinks are compared, nothing else";
    if (!file && (entry.size > (directory ? 1 : 0) || entry.file_offset != 0 || entry.file_size != 0))
        return "only files have bytes to compare";
    if (symlink && entry.attributes_digest != 0) return "a symlink has no attributes";
    return file ? fault_of_stretch(entry, "the stretch lies outside its file") : nullptr;
}

const char* fault_of_place(const Entry& entry, std::uint64_t payload_from,
                           std::uint64_t payload_bytes) noexcept {
    if (entry.size > kFileBytesMax) return "the size is beyond what a file can have";
    if (entry.kind == EntryKind::assemble && entry.file_size > (entry.object == ObjectKey{} ? 0 : entry.size))
        return "its ranges bring more than the object has";
    if (entry.kind == EntryKind::verify) return fault_of_comparison(entry);
    if (!has_payload(entry.kind)) return nullptr;
    if (entry.payload_offset < payload_from) return "payload entries must ascend without overlap";
    if (entry.payload_offset > payload_bytes || entry.size > payload_bytes - entry.payload_offset) {
        return "the entry's bytes lie outside the payload";
    }
    const bool direct = entry.size >= kDirectBytesMin;
    if (direct && entry.payload_offset % kDirectAlignment != 0) {
        return "an entry of 64 KiB or more must start on a multiple of 4096 in the payload";
    }
    if (entry.kind == EntryKind::file) return nullptr;
    if (const char* fault = fault_of_stretch(entry, "the range lies outside its object")) return fault;
    if (entry.object == ObjectKey{}) {
        return "object 0 is a hole, of which there are no ranges";
    }
    return nullptr;
}

std::optional<std::string> first_fault(const Manifest& manifest) {
    if (manifest.publish > PublishRule::in_order) return "unknown publish rule";
    const bool ordered = manifest.publish == PublishRule::in_order;
    const bool placed = manifest.place.run > 0 && manifest.place.number > 0;
    if (ordered && !placed) return "a bundle published in order has a run and a number, both from 1";
    if (!ordered && manifest.place != OrderPlace{}) return "only a bundle published in order has a place";
    if (manifest.payload_bytes > kPayloadBytesMax)
        return "the payload is larger than 1 GiB; make smaller bundles";
    if (manifest.entries.size() > kEntriesMax) return "more than 16384 entries; make smaller bundles";
    std::uint64_t payload_from = 0;
    for (std::size_t i = 0; i < manifest.entries.size(); ++i) {
        const Entry& entry = manifest.entries[i];
        const char* fault = nullptr;
        if (!is_known(entry.kind)) fault = "unknown kind";
        if (fault == nullptr && entry.mode > kModeMax) fault = "the mode has bits beyond 07777";
        if (fault == nullptr) fault = fault_of_names(entry);
        if (fault == nullptr) fault = fault_of_place(entry, payload_from, manifest.payload_bytes);
        if (fault == nullptr) fault = fault_of_entry_attributes(entry);
        if (fault != nullptr) return "manifest entry " + std::to_string(i) + ": " + fault;
        if (has_payload(entry.kind)) payload_from = entry.payload_offset + entry.size;
    }
    return std::nullopt;
}

Error malformed(std::string text) {
    return {ErrorCode::protocol_error, std::move(text)};
}

void write_id(const BundleId& id, ByteWriter& writer) noexcept {
    writer.u64(id.high);
    writer.u64(id.low);
}

BundleId read_id(ByteReader& reader) noexcept {
    BundleId id;
    id.high = reader.u64();
    id.low = reader.u64();
    return id;
}

void write_entry(const Entry& entry, ByteWriter& writer) noexcept {
    writer.u8(static_cast<std::uint8_t>(entry.kind));
    writer.u8(entry.attributes.empty() ? 0 : kFlagAttributes);
    writer.u16(static_cast<std::uint16_t>(entry.mode));
    writer.u32(entry.uid);
    writer.u32(entry.gid);
    writer.i64(entry.mtime_ns);
    writer.i64(entry.ctime_ns);
    writer.u64(entry.size);
    writer.u16(static_cast<std::uint16_t>(entry.path.size()));
    writer.u16(static_cast<std::uint16_t>(entry.target.size()));
    if (has_payload(entry.kind)) writer.u64(entry.payload_offset);
    if (entry.kind == EntryKind::range) {
        writer.u64(entry.file_offset);
        writer.u64(entry.file_size);
    }
    if (entry.kind == EntryKind::verify) writer.u64(entry.file_offset);
    if (entry.kind == EntryKind::assemble || entry.kind == EntryKind::verify) writer.u64(entry.file_size);
    if (entry.kind == EntryKind::range || entry.kind == EntryKind::assemble) write_id(entry.object, writer);
    if (entry.kind == EntryKind::verify) {
        writer.u64(entry.attributes_digest);
        writer.u8(static_cast<std::uint8_t>(entry.compared));
    }
    if (!entry.attributes.empty()) writer.u32(static_cast<std::uint32_t>(entry.attributes.size()));
    writer.bytes(as_bytes(entry.path));
    writer.bytes(as_bytes(entry.target));
    writer.bytes(as_bytes(entry.attributes));
}

// Structure only; first_fault() judges the values.
bool read_entry(ByteReader& reader, Entry& entry) {
    entry.kind = static_cast<EntryKind>(reader.u8());
    const std::uint8_t flags = reader.u8();
    entry.mode = reader.u16();
    entry.uid = reader.u32();
    entry.gid = reader.u32();
    entry.mtime_ns = reader.i64();
    entry.ctime_ns = reader.i64();
    entry.size = reader.u64();
    const std::size_t path_bytes = reader.u16();
    const std::size_t target_bytes = reader.u16();
    if (!reader.ok() || (flags & ~kFlagAttributes) != 0 || !is_known(entry.kind)) return false;
    if (has_payload(entry.kind)) entry.payload_offset = reader.u64();
    if (entry.kind == EntryKind::range) {
        entry.file_offset = reader.u64();
        entry.file_size = reader.u64();
    }
    if (entry.kind == EntryKind::verify) entry.file_offset = reader.u64();
    if (entry.kind == EntryKind::assemble || entry.kind == EntryKind::verify) entry.file_size = reader.u64();
    if (entry.kind == EntryKind::range || entry.kind == EntryKind::assemble) entry.object = read_id(reader);
    if (entry.kind == EntryKind::verify) {
        entry.attributes_digest = reader.u64();
        entry.compared = static_cast<EntryKind>(reader.u8());
    }
    const std::size_t attribute_bytes = (flags & kFlagAttributes) != 0 ? reader.u32() : 0;
    entry.path = as_text(reader.bytes(path_bytes));
    entry.target = as_text(reader.bytes(target_bytes));
    entry.attributes = as_text(reader.bytes(attribute_bytes));
    // A flag without attributes would be a second way to write the same manifest.
    return reader.ok() && ((flags & kFlagAttributes) != 0) == !entry.attributes.empty();
}

}  // namespace

Result<HeadPrefix> parse_head_prefix(ByteView head) {
    ByteReader reader(head);
    const std::uint32_t magic = reader.u32();
    HeadPrefix prefix;
    prefix.head_bytes = reader.u32();
    prefix.payload_bytes = reader.u64();
    prefix.id = read_id(reader);
    prefix.generation = reader.u32();
    const std::uint32_t reserved = reader.u32();
    if (!reader.ok()) return malformed("the bundle head is cut off before its prefix ends");
    if (magic != kHeadMagic && (magic & ~kHeadMagicVersionMask) == (kHeadMagic & ~kHeadMagicVersionMask))
        return malformed(
            "the bundle head is of another version than 5: run the same Longhaul version at both sites");
    if (magic != kHeadMagic) return malformed("the bundle head does not begin with LHM5");
    if (prefix.head_bytes < kManifestFixedBytes || prefix.head_bytes > kHeadBytesMax) {
        return malformed("the bundle head claims an impossible length");
    }
    if (prefix.payload_bytes > kPayloadBytesMax)
        return malformed("the bundle claims more than 1 GiB of payload");
    if (reserved != 0) return malformed("reserved bytes of the bundle head are not zero");
    return prefix;
}

Result<std::vector<std::uint8_t>> write_manifest(const Manifest& manifest) {
    if (auto fault = first_fault(manifest)) return Error{ErrorCode::invalid_argument, std::move(*fault)};
    const bool ordered = manifest.publish == PublishRule::in_order;
    std::size_t bytes = kManifestFixedBytes + (ordered ? kPlaceBytes : 0);
    for (const Entry& entry : manifest.entries)
        bytes += bytes_of(entry);
    if (bytes > kHeadBytesMax) {
        return Error{ErrorCode::invalid_argument,
                     "the manifest is larger than 4 MiB; put fewer entries into a bundle"};
    }
    std::vector<std::uint8_t> out(bytes);
    ByteWriter writer(out);
    writer.u32(kHeadMagic);
    writer.u32(static_cast<std::uint32_t>(bytes));
    writer.u64(manifest.payload_bytes);
    write_id(manifest.id, writer);
    writer.u32(manifest.generation);
    writer.u32(0);
    writer.u64(manifest.store);
    writer.u32(static_cast<std::uint32_t>(manifest.publish) << 24);
    writer.u32(static_cast<std::uint32_t>(manifest.entries.size()));
    if (ordered) {
        writer.u64(manifest.place.run);
        writer.u64(manifest.place.number);
    }
    for (const Entry& entry : manifest.entries)
        write_entry(entry, writer);
    LH_ASSERT(writer.ok() && writer.room() == 0);
    return out;
}

Result<Manifest> parse_manifest(ByteView head) {
    const auto prefix = parse_head_prefix(head);
    if (!prefix) return prefix.error();
    if (prefix.value().head_bytes != head.size())
        return malformed("the bundle head's length differs from what it claims");
    ByteReader reader(head.subspan(kHeadPrefixBytes));
    Manifest manifest;
    manifest.id = prefix.value().id;
    manifest.generation = prefix.value().generation;
    manifest.payload_bytes = prefix.value().payload_bytes;
    manifest.store = reader.u64();
    const std::uint32_t rule = reader.u32();
    if ((rule & 0x00ffffff) != 0) return malformed("reserved bytes of the bundle head are not zero");
    manifest.publish = static_cast<PublishRule>(rule >> 24);
    const std::size_t count = reader.u32();
    if (manifest.publish == PublishRule::in_order) {
        manifest.place.run = reader.u64();
        manifest.place.number = reader.u64();
    }
    if (!reader.ok() || count > kEntriesMax || count > reader.remaining() / kEntryFixedBytes) {
        return malformed("the manifest claims more entries than it can hold");
    }
    manifest.entries.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
        if (!read_entry(reader, manifest.entries[i])) {
            return malformed("manifest entry " + std::to_string(i) + " does not parse");
        }
    }
    if (reader.remaining() != 0) return malformed("bytes follow the last entry of the manifest");
    if (auto fault = first_fault(manifest)) return malformed(std::move(*fault));
    return manifest;
}

bool compares_names(const Entry& entry) noexcept {
    return entry.kind == EntryKind::verify && entry.compared == EntryKind::directory && entry.size == 1;
}

bool asks_to_verify(const Manifest& manifest) noexcept {
    return std::any_of(manifest.entries.begin(), manifest.entries.end(),
                       [](const Entry& entry) { return entry.kind == EntryKind::verify; });
}

}  // namespace longhaul::wire
