// Extended attributes and ACLs at the target: exactly those of the entry, nothing of the host's own, and a file system
// that cannot keep them fails the entry with a name of its own instead of losing them silently.
// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "dataplane/wire/attributes.h"
#include "tests/unit/storage/rig.h"

namespace longhaul::storage::test {
namespace {

using wire::FailReason;
using Attributes = std::map<std::string, std::string>;

// POSIX ACLs as the kernel takes them (linux/posix_acl_xattr.h): version 2, then tag, permissions, id.
std::string acl(std::uint16_t user_permissions, std::uint32_t user) {
    struct Item {
        std::uint16_t tag, permissions;
        std::uint32_t id;
    };
    std::string bytes("\2\0\0\0", 4);
    for (const Item& item : {Item{0x01, 6, ~0u}, Item{0x02, user_permissions, user}, Item{0x04, 4, ~0u},
                             Item{0x10, 7, ~0u}, Item{0x20, 0, ~0u}})
        bytes.append(reinterpret_cast<const char*>(&item), sizeof(item));
    return bytes;
}

void give(const std::string& path, const std::string& name, const std::string& value) {
    ASSERT_EQ(setxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0), 0) << name << " " << errno;
}

Attributes attributes_of(const std::string& path) {
    Attributes found;
    char names[4096];
    const ssize_t length = listxattr(path.c_str(), names, sizeof(names));
    for (ssize_t at = 0; at < length; at += static_cast<ssize_t>(std::string(names + at).size()) + 1) {
        char value[4096];
        const ssize_t bytes = getxattr(path.c_str(), names + at, value, sizeof(value));
        found[names + at] = std::string(value, static_cast<std::size_t>(std::max<ssize_t>(bytes, 0)));
    }
    return found;
}

mode_t mode_of(const std::string& path) {
    struct stat found {};
    EXPECT_EQ(stat(path.c_str(), &found), 0);
    return found.st_mode & 07777;
}

std::string written(const Attributes& attributes) {
    std::vector<wire::Attribute> list;
    for (const auto& [name, value] : attributes)
        list.push_back({name, value});
    return wire::write_attributes(list);
}

struct TargetAttributes : testing::Test {
    TemporaryDirectory source, target;
    Rig rig;
    Outcome send(ManifestMaker& maker) { return rig.transfer(maker.take()); }
    static const Attributes& some() {
        static const Attributes all = {
            {"user.comment", "of the source"}, {"user.empty", ""}, {"system.posix_acl_access", acl(7, 4321)}};
        return all;
    }
};

// A file, one gathered from ranges, and a directory with a default ACL get what their entries name; so does a file that
// its own mode protects. Mode and ACL agree: the group bits are the mask.
TEST_F(TargetAttributes, ArriveWithFilesAndDirectories) {
    put_file(source / "file", "content");
    put_file(source / "read-only", "content");
    put_file(source / "ranges", std::string(100'000, 'r'));
    ASSERT_EQ(mkdir((source / "directory").c_str(), 0755), 0);
    ASSERT_EQ(chmod((source / "file").c_str(), 0670), 0);
    ASSERT_EQ(chmod((source / "read-only").c_str(), 0400), 0);
    rig.open(source.path(), target.path());
    ManifestMaker maker(source.path(), 2);
    const Attributes of_directory = {{"user.d", "1"}, {"system.posix_acl_default", acl(5, 99)}};
    maker.directory("directory").attributes = written(of_directory);
    maker.file("file").attributes = written(some());
    maker.file("read-only").attributes = written({{"user.comment", "x"}});
    maker.range("ranges", {5, 6}, 0, 100'000);
    maker.assemble("ranges", {5, 6}).attributes = written({{"user.large", "yes"}});
    const Outcome outcome = send(maker);
    EXPECT_EQ(outcome.last.failed_entries, 0u);
    EXPECT_EQ(attributes_of(target / "file"), some());
    EXPECT_EQ(mode_of(target / "file"), 0670u);
    EXPECT_EQ(attributes_of(target / "read-only"), (Attributes{{"user.comment", "x"}}));
    EXPECT_EQ(mode_of(target / "read-only"), 0400u);
    EXPECT_EQ(attributes_of(target / "ranges"), (Attributes{{"user.large", "yes"}}));
    EXPECT_EQ(attributes_of(target / "directory"), of_directory);
}

// In place, what the entry does not name disappears, what it names is set, and the host's own label stays.
TEST_F(TargetAttributes, InPlaceMetadataMakesThemEqual) {
    for (const char* name : {"kept", "other"})
        put_file(source / name, "content");
    rig.open(source.path(), target.path());
    ManifestMaker first(source.path(), 2);
    first.file("kept").attributes = written(some());
    ASSERT_EQ(send(first).last.failed_entries, 0u);
    ASSERT_EQ(chmod((target / "kept").c_str(), 0444), 0);
    const bool labelled = setxattr((target / "kept").c_str(), "trusted.host", "own", 3, 0) == 0;
    ManifestMaker second(source.path(), 2);
    second.metadata("kept").attributes = written({{"user.comment", "changed"}});
    ASSERT_EQ(send(second).last.failed_entries, 0u);
    Attributes wanted = {{"user.comment", "changed"}};
    if (labelled) wanted["trusted.host"] = "own";
    EXPECT_EQ(attributes_of(target / "kept"), wanted);
    ManifestMaker third(source.path(), 2);
    third.metadata("kept");
    ASSERT_EQ(send(third).last.failed_entries, 0u);
    wanted.erase("user.comment");
    EXPECT_EQ(attributes_of(target / "kept"), wanted);
}

// A default ACL of the store's own root gives nothing to what is published beneath it.
TEST_F(TargetAttributes, TheRootsDefaultAclIsNotInherited) {
    give(target.path(), "system.posix_acl_default", acl(7, 1));
    put_file(source / "file", "content");
    ASSERT_EQ(mkdir((source / "directory").c_str(), 0755), 0);
    rig.open(source.path(), target.path());
    ManifestMaker maker(source.path(), 2);
    maker.directory("directory");
    maker.file("file");
    EXPECT_EQ(send(maker).last.failed_entries, 0u);
    EXPECT_TRUE(attributes_of(target / "file").empty());
    EXPECT_TRUE(attributes_of(target / "directory").empty());
    EXPECT_EQ(mode_of(target / "file"), mode_of(source / "file"));
}

// An entry whose attributes the file system cannot keep fails by that name, nothing of it is published, and the others
// of its bundle are.
TEST(TargetWithoutAttributes, FailsTheEntryByName) {
    Mount mount("ramfs", "");
    if (!mount.ok()) GTEST_SKIP() << "mounting ramfs needs root";
    TemporaryDirectory source;
    put_file(source / "with", "content");
    put_file(source / "without", "content");
    Rig rig;
    rig.open(source.path(), mount.path());
    ManifestMaker maker(source.path(), 2);
    maker.file("with").attributes = written({{"user.comment", "x"}});
    maker.file("without");
    const Outcome outcome = rig.transfer(maker.take());
    EXPECT_EQ(outcome.reason_of(0), FailReason::target_attributes);
    EXPECT_EQ(outcome.reason_of(1), FailReason::none);
    EXPECT_FALSE(exists(mount.path() + "/with"));
    EXPECT_EQ(get_file(mount.path() + "/without"), "content");
}

}  // namespace
}  // namespace longhaul::storage::test
