// Extended attributes from outside: what may travel comes back as it was, and nothing else gets as far as a setxattr.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/attributes.h"

#include <gtest/gtest.h>

#include "dataplane/wire/manifest.h"

namespace longhaul::wire {
namespace {

const std::vector<Attribute> kSome = {{"system.posix_acl_access", std::string("\2\0\0\0", 4)},
                                      {"user.empty", ""},
                                      {"user.\xff raw", std::string(300, '\0')}};

Manifest with(EntryKind kind, std::string attributes) {
    Manifest manifest;
    Entry entry;
    entry.kind = kind;
    entry.attributes = std::move(attributes);
    if (kind != EntryKind::mark) entry.path = "d/f";
    if (kind == EntryKind::range) entry.object = {1, 2};
    if (kind == EntryKind::symlink || kind == EntryKind::link) entry.target = "text";
    manifest.entries = {entry, entry};
    return manifest;
}

// Proves: which names travel, by a table. Labels and capabilities of the host, and what steers its kernel, never do.
TEST(Attributes, TheNamesThatTravel) {
    struct Row {
        std::string_view name;
        bool file, directory;
    };
    using namespace std::string_view_literals;
    for (const auto& [name, file, directory] :
         {Row{"user.a", true, true}, Row{"user.security.selinux", true, true}, Row{"user.", false, false},
          Row{"user", false, false}, Row{"USER.a", false, false}, Row{"", false, false},
          Row{"system.posix_acl_access", true, true}, Row{"system.posix_acl_default", false, true},
          Row{"system.posix_acl_access2", false, false}, Row{"system.nfs4_acl", false, false},
          Row{"security.capability", false, false}, Row{"security.selinux", false, false},
          Row{"security.ima", false, false}, Row{"trusted.overlay.opaque", false, false},
          Row{"btrfs.compression", false, false}}) {
        EXPECT_EQ(attribute_travels(name, false), file) << name;
        EXPECT_EQ(attribute_travels(name, true), directory) << name;
    }
}

// Proves: a set has one form, whatever the order it was found in, and comes back from it.
TEST(Attributes, OneFormForOneSet) {
    const std::string written = write_attributes(kSome);
    EXPECT_EQ(write_attributes({kSome[2], kSome[0], kSome[1]}), written);
    EXPECT_EQ(fault_of_attributes(written, false), nullptr);
    EXPECT_EQ(write_attributes(read_attributes(written)), written);
    EXPECT_EQ(read_attributes(written).size(), kSome.size());
    EXPECT_EQ(write_attributes({}), "");
}

// Proves: the digest that both sites compute. SHA-256 of "abc" begins with ba7816bf 8f01cfea.
TEST(Attributes, DigestTellsSetsApart) {
    EXPECT_EQ(attributes_digest(""), 0u);
    EXPECT_EQ(attributes_digest("abc"), 0xba7816bf8f01cfeaU);
    EXPECT_NE(attributes_digest(write_attributes({{"user.a", "1"}})),
              attributes_digest(write_attributes({{"user.a", "2"}})));
}

// Proves: bytes that no writer makes are refused in words: cut off, unsorted, twice, too long, of other names.
TEST(Attributes, HostileBytesAreRefused) {
    const std::string one = write_attributes({{"user.b", "1"}}), other = write_attributes({{"user.a", "2"}});
    using namespace std::string_literals;
    const std::vector<std::pair<const char*, std::string>> cases = {
        {"unsorted", one + other},
        {"twice", one + one},
        {"capability", write_attributes({{"security.capability", "x"}})},
        {"default ACL of a file", write_attributes({{"system.posix_acl_default", "x"}})},
        {"no name", "\0\0\0\0\1x"s},
        {"NUL in the name", "\x8\0\0\0\0user.a\0b"s},
        {"value length of 4 GiB", "\x6\xff\xff\xff\xffuser.a"s},
        {"more than 128 KiB", write_attributes({{"user.a", std::string(kAttributeValueMax, 'a')},
                                                {"user.b", std::string(kAttributeValueMax, 'b')}})}};
    for (const auto& [what, bytes] : cases) {
        EXPECT_NE(fault_of_attributes(bytes, false), nullptr) << what;
        EXPECT_FALSE(write_manifest(with(EntryKind::file, bytes)).ok()) << what;
    }
    const std::string whole = write_attributes(kSome);
    for (std::size_t length = 1; length < whole.size(); ++length) {
        const std::string cut = whole.substr(0, length);
        const bool between =
            cut == write_attributes({kSome[0]}) || cut == write_attributes({kSome[0], kSome[1]});
        EXPECT_EQ(fault_of_attributes(cut, false) == nullptr, between) << length;
    }
}

// Proves: a manifest carries them with the kinds that can have them, and refuses them with all others, both ways.
TEST(Attributes, TravelWithTheKindsThatCanHaveThem) {
    const std::string written = write_attributes(kSome);
    const auto may = [](EntryKind kind) {
        return kind != EntryKind::symlink && kind != EntryKind::remove && kind != EntryKind::mark;
    };
    for (int number = 1; number <= 9; ++number) {
        const auto kind = static_cast<EntryKind>(number);
        const Manifest manifest = with(kind, written);
        const auto bytes = write_manifest(manifest);
        ASSERT_EQ(bytes.ok(), may(kind)) << number;
        if (!bytes.ok()) {
            EXPECT_NE(bytes.error().text.find("extended attributes"), std::string::npos);
            continue;
        }
        const auto parsed = parse_manifest(bytes.value());
        ASSERT_TRUE(parsed.ok()) << parsed.error().text;
        EXPECT_EQ(parsed.value(), manifest);
        auto as_remove = bytes.value();
        as_remove[56] = static_cast<std::uint8_t>(EntryKind::remove);
        EXPECT_FALSE(parse_manifest(as_remove).ok()) << number;
    }
    const std::string acl = write_attributes({{"system.posix_acl_default", "x"}});
    EXPECT_TRUE(write_manifest(with(EntryKind::directory, acl)).ok());
    EXPECT_FALSE(write_manifest(with(EntryKind::assemble, acl)).ok());
}

// Proves: the flag without attributes, and flags that nobody knows, are refused; so is every truncation.
TEST(Attributes, FlagsAndLengthsAreChecked) {
    auto bytes = write_manifest(with(EntryKind::directory, write_attributes({{"user.a", "1"}}))).value();
    auto none = write_manifest(with(EntryKind::directory, "")).value();
    none[57] = 1;
    EXPECT_FALSE(parse_manifest(none).ok());
    for (std::size_t at = 0; at < 4; ++at) {  // their length: behind the fixed part
        auto wrong = bytes;
        wrong[56 + 40 + at] ^= 1;
        EXPECT_FALSE(parse_manifest(wrong).ok()) << at;
    }
    bytes[57] = 3;
    EXPECT_FALSE(parse_manifest(bytes).ok());
}

// Proves: the head of another version is refused with words that say what to do about it.
TEST(ManifestVersion, AnotherVersionIsRefusedInWords) {
    auto bytes = write_manifest(with(EntryKind::directory, "")).value();
    for (const char version : {'1', '2', '\0'}) {
        bytes[3] = static_cast<std::uint8_t>(version);
        const auto parsed = parse_manifest(bytes);
        ASSERT_FALSE(parsed.ok());
        EXPECT_NE(parsed.error().text.find("same Longhaul version"), std::string::npos);
    }
}

}  // namespace
}  // namespace longhaul::wire
