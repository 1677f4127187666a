// One more name of a published file: hard links and renames without bytes, and what a manifest cannot make of them.
// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>
#include <unistd.h>

#include <functional>

#include "tests/unit/storage/rig.h"

namespace longhaul::storage::test {
namespace {

using wire::FailReason;

struct Linking : testing::Test {
    TemporaryDirectory source, target;
    Rig rig;

    void SetUp() override {
        put_file(source / "first", "content");
        ASSERT_EQ(chmod((source / "first").c_str(), 0640), 0);
        rig.open(source.path(), target.path());
        ManifestMaker maker(source.path(), 2);
        maker.file("first");
        ASSERT_EQ(rig.transfer(maker.take()).last.failed_entries, 0u);
    }
    // As the source would say it of a name that it has given to `first`.
    static wire::Entry& link(ManifestMaker& maker, const std::string& path, const std::string& of = "first") {
        wire::Entry& entry = maker.metadata("first");
        entry.kind = wire::EntryKind::link;
        entry.size = 7;  // "content"
        entry.path = path;
        entry.target = of;
        return entry;
    }
    FailReason send_one(const std::function<void(wire::Entry&)>& change, const std::string& path = "second") {
        ManifestMaker maker(source.path(), 2);
        change(link(maker, path));
        return rig.transfer(maker.take()).reason_of(0);
    }
    struct stat status(const std::string& name) const {
        struct stat found {};
        EXPECT_EQ(lstat((target / name).c_str(), &found), 0) << name;
        return found;
    }
};

// A second name is the same file, with its parents made; saying it again changes nothing; what stood there is replaced; the
// first name may go in the same bundle, which is a rename.
TEST_F(Linking, GivesAFileAnotherName) {
    put_file(target / "third", "in the way");
    ManifestMaker maker(source.path(), 2);
    link(maker, "deep/er/second");
    link(maker, "third");
    ASSERT_EQ(rig.transfer(maker.take()).last.failed_entries, 0u);
    for (const char* name : {"deep/er/second", "third"}) {
        EXPECT_EQ(status(name).st_ino, status("first").st_ino) << name;
        EXPECT_EQ(get_file(target / name), "content") << name;
    }
    EXPECT_EQ(send_one([](wire::Entry&) {}, "third"), FailReason::none);
    EXPECT_EQ(status("third").st_ino, status("first").st_ino);
    EXPECT_TRUE(staged(target.path()).empty());

    ManifestMaker rename(source.path(), 2);
    link(rename, "renamed");
    rename.remove("first");
    ASSERT_EQ(rig.transfer(rename.take()).last.failed_entries, 0u);
    EXPECT_FALSE(exists(target / "first"));
    EXPECT_EQ(status("renamed").st_nlink, 3u);
}

// The entry's metadata is the file's from then on: a mode that changed with the name needs no second message.
TEST_F(Linking, BringsItsMetadata) {
    EXPECT_EQ(send_one([](wire::Entry& entry) { entry.mode = 0600; }), FailReason::none);
    EXPECT_EQ(status("second").st_mode & 07777, 0600u);
}

// Refused by name, with nothing left in staging and what stood at the new name untouched: another size or mtime, nothing
// there, a directory, a symlink, a symlink on the way.
TEST_F(Linking, IsRefusedOfAnotherVersion) {
    put_file(target / "second", "untouched");
    ASSERT_EQ(mkdir((target / "directory").c_str(), 0755), 0);
    ASSERT_EQ(symlink("first", (target / "symlink").c_str()), 0);
    ASSERT_EQ(symlink(".", (target / "way").c_str()), 0);
    const std::vector<std::pair<const char*, std::function<void(wire::Entry&)>>> cases = {
        {"size", [](wire::Entry& entry) { entry.size += 1; }},
        {"mtime", [](wire::Entry& entry) { entry.mtime_ns += 1; }},
        {"absent", [](wire::Entry& entry) { entry.target = "nothing"; }},
        {"absent parent", [](wire::Entry& entry) { entry.target = "nowhere/first"; }},
        {"directory", [](wire::Entry& entry) { entry.target = "directory"; }},
        {"symlink", [](wire::Entry& entry) { entry.target = "symlink"; }},
        {"symlink on the way", [](wire::Entry& entry) { entry.target = "way/first"; }}};
    for (const auto& [what, change] : cases) {
        EXPECT_EQ(send_one(change), FailReason::target_link) << what;
        EXPECT_EQ(get_file(target / "second"), "untouched") << what;
        EXPECT_TRUE(staged(target.path()).empty()) << what;
    }
    EXPECT_EQ(status("first").st_nlink, 1u);
}

}  // namespace
}  // namespace longhaul::storage::test
