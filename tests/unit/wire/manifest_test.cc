// Manifest and trailer: what travels comes back, and nothing hostile gets as far as a path.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/manifest.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "dataplane/wire/attributes.h"

namespace longhaul::wire {
namespace {

using Bytes = std::vector<std::uint8_t>;

Entry entry_of(EntryKind kind, std::string path) {
    Entry entry;
    entry.kind = kind;
    entry.mode = 0644;
    entry.uid = 1000;
    entry.gid = 100;
    entry.mtime_ns = 1763800000123456789;
    entry.ctime_ns = 1763800000123456790;
    entry.path = std::move(path);
    return entry;
}

// One entry of every kind.
Manifest sample() {
    Manifest manifest;
    manifest.id = {0x0102030405060708, 0x1112131415161718};
    manifest.generation = 3;
    manifest.store = 9;
    manifest.payload_bytes = 1 << 20;
    Entry small = entry_of(EntryKind::file, "table/part-0.parquet");
    small.size = 1000;
    Entry empty = entry_of(EntryKind::file, "table/_SUCCESS");
    empty.payload_offset = 1000;
    Entry large = entry_of(EntryKind::file, "table/part-1.parquet");
    large.size = 128 << 10;
    large.payload_offset = 4096;
    Entry range = entry_of(EntryKind::range, "");
    range.size = 256 << 10;
    range.payload_offset = 136 << 10;
    range.file_offset = std::uint64_t{1} << 40;
    range.file_size = (std::uint64_t{1} << 40) + (256 << 10);
    range.object = {7, 8};
    Entry assemble = entry_of(EntryKind::assemble, "table/huge.parquet");
    assemble.object = {7, 8};
    assemble.size = range.file_size;
    assemble.file_size = range.file_size - 4096;
    Entry link = entry_of(EntryKind::symlink, "latest");
    link.target = "../elsewhere/..//anything";
    Entry name = entry_of(EntryKind::link, "table/one more name");
    name.target = "table/part-1.parquet";
    name.size = large.size;
    Entry mark = entry_of(EntryKind::mark, "");
    mark.mode = 0;
    Entry verify = entry_of(EntryKind::verify, "table/huge.parquet");
    verify.size = 1 << 20;
    verify.file_offset = std::uint64_t{1} << 30;
    verify.file_size = range.file_size;
    verify.attributes_digest = 7;
    Entry verify_link = entry_of(EntryKind::verify, "table/current");
    verify_link.compared = EntryKind::symlink;
    verify_link.target = "version 7";
    Entry verify_names = entry_of(EntryKind::verify, "");
    verify_names.compared = EntryKind::directory;
    verify_names.size = 1;
    manifest.entries = {entry_of(EntryKind::directory, "table"),
                        small,
                        empty,
                        large,
                        range,
                        assemble,
                        link,
                        entry_of(EntryKind::remove, "table/old \xff\n name"),
                        entry_of(EntryKind::metadata, "table"),
                        mark,
                        name,
                        verify,
                        verify_link,
                        verify_names};
    return manifest;
}

constexpr std::size_t kSmall = 1, kEmpty = 2, kLarge = 3, kRange = 4, kAssemble = 5, kLink = 6, kRemove = 7,
                      kMark = 9, kName = 10, kVerify = 11, kVerifyLink = 12, kVerifyNames = 13;

Bytes written(const Manifest& manifest) {
    auto bytes = write_manifest(manifest);
    EXPECT_TRUE(bytes.ok()) << bytes.error().text;
    return std::move(bytes).value();
}

// Proves: one entry of every kind comes back equal, names as raw bytes included.
TEST(ManifestCodec, ParsesWhatWasWritten) {
    const auto parsed = parse_manifest(written(sample()));
    ASSERT_TRUE(parsed.ok()) << parsed.error().text;
    EXPECT_EQ(parsed.value(), sample());
}

// Proves: the session learns length, payload, id and generation from the first 40 bytes alone.
TEST(ManifestCodec, PrefixStandsAtFixedPlaces) {
    const Bytes bytes = written(sample());
    EXPECT_EQ(as_text(ByteView(bytes).first(4)), "LHM5");
    const auto prefix = parse_head_prefix(ByteView(bytes).first(kHeadPrefixBytes));
    ASSERT_TRUE(prefix.ok());
    EXPECT_EQ(prefix.value().head_bytes, bytes.size());
    EXPECT_EQ(prefix.value().payload_bytes, sample().payload_bytes);
    EXPECT_EQ(prefix.value().id, sample().id);
    EXPECT_EQ(prefix.value().generation, 3u);
    EXPECT_FALSE(parse_head_prefix(ByteView(bytes).first(kHeadPrefixBytes - 1)).ok());
}

// Proves: cut anywhere, or with bytes behind it, a head does not parse, whether its length field follows or
// not.
TEST(ManifestCodec, EveryTruncationAndSurplusIsRefused) {
    const Bytes whole = written(sample());
    for (std::size_t length = 0; length <= whole.size() + 3; ++length) {
        if (length == whole.size()) continue;
        Bytes cut = whole;
        cut.resize(length);
        EXPECT_FALSE(parse_manifest(cut).ok()) << length;
        if (length < 8) continue;
        for (int i = 0; i < 4; ++i)
            cut[4 + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(length >> (24 - 8 * i));
        EXPECT_FALSE(parse_manifest(cut).ok()) << length;
    }
}

// Proves: a count that the bytes cannot hold is refused before anything is sized by it.
TEST(ManifestCodec, ImpossibleCountIsRefused) {
    Bytes bytes = written(sample());
    for (std::size_t offset = 52; offset < 56; ++offset)
        bytes[offset] = 0xff;
    const auto parsed = parse_manifest(bytes);
    ASSERT_FALSE(parsed.ok());
    EXPECT_EQ(parsed.error().code, ErrorCode::protocol_error);
}

struct Change {
    const char* what;
    std::function<void(Manifest&)> apply;
};

const std::vector<Change>& faults() {
    static const std::vector<Change> all = {
        {"payload too large", [](Manifest& m) { m.payload_bytes = kPayloadBytesMax + 1; }},
        {"too many entries",
         [](Manifest& m) { m.entries.assign(kEntriesMax + 1, entry_of(EntryKind::remove, "a")); }},
        {"unknown publish rule", [](Manifest& m) { m.publish = static_cast<PublishRule>(2); }},
        {"in order without a place", [](Manifest& m) { m.publish = PublishRule::in_order; }},
        {"a place without a run",
         [](Manifest& m) {
             m.publish = PublishRule::in_order, m.place = {0, 1};
         }},
        {"a place without in order",
         [](Manifest& m) {
             m.place = {1, 1};
         }},
        {"kind 0", [](Manifest& m) { m.entries[kRemove].kind = static_cast<EntryKind>(0); }},
        {"kind 11", [](Manifest& m) { m.entries[kRemove].kind = static_cast<EntryKind>(11); }},
        {"mode", [](Manifest& m) { m.entries[kRemove].mode = 010000; }},
        {"absolute path", [](Manifest& m) { m.entries[kRemove].path = "/etc/passwd"; }},
        {"parent", [](Manifest& m) { m.entries[kRemove].path = "a/../../b"; }},
        {"empty path", [](Manifest& m) { m.entries[kRemove].path = ""; }},
        {"range with an unsafe path", [](Manifest& m) { m.entries[kRange].path = ".."; }},
        {"mark with a path", [](Manifest& m) { m.entries[kMark].path = "a"; }},
        {"symlink without text", [](Manifest& m) { m.entries[kLink].target = ""; }},
        {"symlink text with NUL", [](Manifest& m) { m.entries[kLink].target = std::string("a\0b", 3); }},
        {"symlink text too long", [](Manifest& m) { m.entries[kLink].target = std::string(4096, 'a'); }},
        {"link to nothing", [](Manifest& m) { m.entries[kName].target = ""; }},
        {"link to itself", [](Manifest& m) { m.entries[kName].target = m.entries[kName].path; }},
        {"link out of the store", [](Manifest& m) { m.entries[kName].target = "../passwd"; }},
        {"link into staging", [](Manifest& m) { m.entries[kName].target = ".longhaul/staging/b-1"; }},
        {"link to an absolute path", [](Manifest& m) { m.entries[kName].target = "/etc/passwd"; }},
        {"text without symlink", [](Manifest& m) { m.entries[kRemove].target = "a"; }},
        {"overlap", [](Manifest& m) { m.entries[kEmpty].payload_offset = 999; }},
        {"descending", [](Manifest& m) { std::swap(m.entries[kSmall], m.entries[kLarge]); }},
        {"behind the payload", [](Manifest& m) { m.entries[kRange].payload_offset = m.payload_bytes; }},
        {"offset overflows", [](Manifest& m) { m.entries[kRange].payload_offset = ~std::uint64_t{4095}; }},
        {"size overflows", [](Manifest& m) { m.entries[kRange].size = ~std::uint64_t{0}; }},
        {"payload misaligned", [](Manifest& m) { m.entries[kLarge].payload_offset = 4096 + 512; }},
        {"object misaligned", [](Manifest& m) { m.entries[kRange].file_offset -= 512; }},
        {"outside the object", [](Manifest& m) { m.entries[kRange].file_offset += 4096; }},
        {"object offset overflows",
         [](Manifest& m) { m.entries[kRange].file_offset = ~std::uint64_t{4095}; }},
        {"object too large", [](Manifest& m) { m.entries[kRange].file_size = std::uint64_t{1} << 63; }},
        {"verify nothing", [](Manifest& m) { m.entries[kVerify].path = ""; }},
        {"verify another store's file", [](Manifest& m) { m.entries[kVerify].path = "../passwd"; }},
        {"verify misaligned", [](Manifest& m) { m.entries[kVerify].file_offset += 512; }},
        {"verify behind the end",
         [](Manifest& m) { m.entries[kVerify].file_offset = m.entries[kVerify].file_size; }},
        {"verify an impossible file",
         [](Manifest& m) { m.entries[kVerify].file_size = std::uint64_t{1} << 63; }},
        {"verify with attributes",
         [](Manifest& m) {
             m.entries[kVerify].attributes = write_attributes({{"user.a", "b"}});
         }},
        {"verify a symlink without a text", [](Manifest& m) { m.entries[kVerifyLink].target.clear(); }},
        {"verify a symlink's attributes", [](Manifest& m) { m.entries[kVerifyLink].attributes_digest = 1; }},
        {"verify a symlink's bytes",
         [](Manifest& m) { m.entries[kVerifyLink].size = m.entries[kVerifyLink].file_size = 1; }},
        {"verify a directory's bytes", [](Manifest& m) { m.entries[kVerifyNames].size = 2; }},
        {"verify the root's metadata", [](Manifest& m) { m.entries[kVerifyNames].size = 0; }},
        {"verify a file with a text", [](Manifest& m) { m.entries[kVerify].target = "text"; }},
        {"verify a removal", [](Manifest& m) { m.entries[kVerify].compared = EntryKind::remove; }},
        {"range of a hole", [](Manifest& m) { m.entries[kRange].object = {}; }},
        {"more than the object", [](Manifest& m) { m.entries[kAssemble].file_size += 4097; }},
        {"ranges of a hole", [](Manifest& m) { m.entries[kAssemble].object = {}; }},
        {"assembled object too large",
         [](Manifest& m) { m.entries[kAssemble].size = std::uint64_t{1} << 63; }},
    };
    return all;
}

// Proves: the writer refuses each fault as the caller's, in words.
TEST(ManifestCodec, WriterRefusesEveryFault) {
    for (const Change& fault : faults()) {
        Manifest manifest = sample();
        fault.apply(manifest);
        const auto bytes = write_manifest(manifest);
        ASSERT_FALSE(bytes.ok()) << fault.what;
        EXPECT_EQ(bytes.error().code, ErrorCode::invalid_argument) << fault.what;
        EXPECT_FALSE(bytes.error().text.empty()) << fault.what;
    }
}

// Overwrites the bytes at the one place where `from` stands with `to`.
Bytes with_bytes(const Manifest& manifest, std::string_view from, std::string_view to) {
    Bytes bytes = written(manifest);
    const std::string_view text = as_text(bytes);
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string_view::npos);
    EXPECT_EQ(from.size(), to.size());
    std::copy(to.begin(), to.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
    return bytes;
}

// Proves: the parser refuses the same from bytes that no writer of ours produced: paths, kinds, offsets,
// reserved.
TEST(ManifestCodec, ParserRefusesHostileBytes) {
    Manifest manifest;
    manifest.payload_bytes = 8192;
    Entry file = entry_of(EntryKind::file, "aa/bb/cc");
    file.size = 4096;
    file.payload_offset = 100;
    manifest.entries = {file, entry_of(EntryKind::remove, "second")};
    ASSERT_TRUE(parse_manifest(written(manifest)).ok());

    using namespace std::string_view_literals;
    for (const std::string_view path : {"../bb/cc"sv, "/a/bb/cc"sv, "aa//b/cc"sv, "aa/../cc"sv, "aa/bb/.."sv,
                                        "aa/bb/c/"sv, "./a/bb/c"sv, "aa/bb/\0c"sv}) {
        const auto parsed = parse_manifest(with_bytes(manifest, "aa/bb/cc", path));
        ASSERT_FALSE(parsed.ok()) << path;
        EXPECT_EQ(parsed.error().code, ErrorCode::protocol_error);
    }
    manifest.entries[0].path = "xlonghaul/staged";
    EXPECT_FALSE(parse_manifest(with_bytes(manifest, "xlonghaul/staged", ".longhaul/staged")).ok());

    constexpr std::size_t first = 56;
    struct Case {
        const char* what;
        std::size_t offset;
        std::uint8_t value;
    };
    const Case cases[] = {{"magic", 2, 'N'},
                          {"version", 3, '1'},
                          {"head bytes", 7, 1},
                          {"payload over 1 GiB", 11, 1},
                          {"prefix reserved", 39, 1},
                          {"publish rule", 48, 1},
                          {"rule reserved", 51, 1},
                          {"fewer entries", 55, 1},
                          {"more entries", 55, 3},
                          {"kind", first, 10},
                          {"kind", first, 0},
                          {"flags", first + 1, 1},
                          {"mode", first + 2, 0xff},
                          {"size", first + 28, 0x80},
                          {"path bytes", first + 37, 200},
                          {"target bytes", first + 39, 1},
                          {"payload offset", first + 41, 1}};
    for (const Case& change : cases) {
        Bytes bytes = written(manifest);
        bytes[change.offset] = change.value;
        EXPECT_FALSE(parse_manifest(bytes).ok()) << change.what;
    }
}

// Proves: fields that a kind does not use do not travel: they are zero at the target, whatever the source had
// there.
TEST(ManifestCodec, FieldsOfOtherKindsDoNotTravel) {
    Manifest manifest;
    Entry remove = entry_of(EntryKind::remove, "a");
    manifest.entries = {remove};
    remove.payload_offset = 5;
    remove.file_offset = 6;
    remove.file_size = 7;
    remove.object = {8, 9};
    Manifest noisy = manifest;
    noisy.entries = {remove};
    EXPECT_EQ(written(noisy), written(manifest));
}

// Proves: the limits can be reached: 16384 entries, a payload of 1 GiB, the longest path, and a head over 4
// MiB is not.
TEST(ManifestCodec, LimitsAreReachable) {
    Manifest manifest;
    manifest.payload_bytes = kPayloadBytesMax;
    Entry entry = entry_of(EntryKind::file, "f");
    entry.size = kPayloadBytesMax;
    manifest.entries.assign(kEntriesMax - 1, entry_of(EntryKind::remove, "some/name"));
    manifest.entries.push_back(entry);
    const auto parsed = parse_manifest(written(manifest));
    ASSERT_TRUE(parsed.ok()) << parsed.error().text;
    EXPECT_EQ(parsed.value(), manifest);
    for (Entry& long_name : manifest.entries)
        long_name.path = std::string(250, 'n');
    EXPECT_FALSE(write_manifest(manifest).ok());
}

// Proves: the rule for names, case by case.
TEST(Paths, SafeAndUnsafe) {
    const auto repeat = [](const std::string& part, int times) {
        std::string text;
        for (int i = 0; i < times; ++i)
            text += part;
        return text;
    };
    for (const std::string& path :
         {std::string("a"), std::string("a/b/c"), std::string("..."), std::string(".hidden"),
          std::string("a/.longhaul"), std::string(".longhaulx"), std::string("a b\n\xff"),
          std::string(255, 'x'), repeat("abcdefg/", 511) + "abcdefg"}) {
        EXPECT_TRUE(path_is_safe(path)) << path;
    }
    for (const std::string& path :
         {std::string(), std::string("/"), std::string("/a"), std::string("a/"), std::string("a//b"),
          std::string("."), std::string(".."), std::string("a/.."), std::string("../a"), std::string("a/./b"),
          std::string("a\0b", 3), std::string(".longhaul"), std::string(".longhaul/x"), std::string(256, 'x'),
          "a/" + std::string(256, 'x'), repeat("abcdefg/", 511) + "abcdefgh"}) {
        EXPECT_FALSE(path_is_safe(path)) << path;
    }
}

// Proves: ids have one text form of 32 lower-case digits; upper case is read, everything else refused.
TEST(BundleIds, TextForm) {
    const BundleId id{0x00ff000000000001, 0xfedcba9876543210};
    EXPECT_EQ(to_string(id), "00ff000000000001fedcba9876543210");
    ASSERT_TRUE(parse_bundle_id(to_string(id)).ok());
    EXPECT_EQ(parse_bundle_id(to_string(id)).value(), id);
    EXPECT_EQ(parse_bundle_id("00FF000000000001FEDCBA9876543210").value(), id);
    for (const char* text : {"", "0", "00ff000000000001fedcba987654321", "00ff000000000001fedcba98765432100",
                             "00ff000000000001fedcba987654321g", "-0ff000000000001fedcba9876543210",
                             "0x00000000000001fedcba9876543210", " 0ff000000000001fedcba9876543210"}) {
        EXPECT_FALSE(parse_bundle_id(text).ok()) << text;
    }
}

Trailer sample_trailer() {
    return {
        {1, 2}, 3, {{FailReason::none, 0xe3069283}, {FailReason::source_changed, 0}, {FailReason::none, 0}}};
}

// Proves: a trailer comes back equal, its length known from the first eight bytes.
TEST(TrailerCodec, ParsesWhatWasWritten) {
    const Bytes bytes = write_trailer(sample_trailer());
    EXPECT_EQ(bytes.size(), 32u + 3 * 5);
    const auto total = parse_trailer_bytes(ByteView(bytes).first(kTrailerPrefixBytes));
    ASSERT_TRUE(total.ok());
    EXPECT_EQ(total.value(), bytes.size());
    const auto parsed = parse_trailer(bytes);
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(parsed.value(), sample_trailer());
    const auto none = parse_trailer(write_trailer({{1, 2}, 3, {}}));
    ASSERT_TRUE(none.ok());
    EXPECT_TRUE(none.value().verdicts.empty());
}

// Proves: truncation, surplus, wrong magic, impossible lengths, counts and reasons are refused.
TEST(TrailerCodec, HostileBytesAreRefused) {
    const Bytes whole = write_trailer(sample_trailer());
    for (std::size_t length = 0; length <= whole.size() + 5; ++length) {
        if (length == whole.size()) continue;
        Bytes cut = whole;
        cut.resize(length);
        EXPECT_FALSE(parse_trailer(cut).ok()) << length;
    }
    for (const auto& [offset, value] : std::vector<std::pair<std::size_t, std::uint8_t>>{
             {0, 'X'}, {4, 0xff}, {5, 0xff}, {7, 48}, {7, 31}, {31, 2}, {31, 4}, {28, 0xff}, {32, 30}}) {
        Bytes bytes = whole;
        bytes[offset] = value;
        EXPECT_FALSE(parse_trailer(bytes).ok()) << "byte " << offset;
    }
    const Bytes longest = {'L', 'H', 'T', '1', 0, 1, 0x40, 0x20};  // 32 + 5 * 16384
    EXPECT_TRUE(parse_trailer_bytes(longest).ok());
    const Bytes beyond = {'L', 'H', 'T', '1', 0, 1, 0x40, 0x25};
    EXPECT_FALSE(parse_trailer_bytes(beyond).ok());
    EXPECT_FALSE(parse_trailer_bytes(ByteView(whole).first(7)).ok());
}

}  // namespace
}  // namespace longhaul::wire
