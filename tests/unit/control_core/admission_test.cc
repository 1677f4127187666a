// What may become a dataset or a replica here, and what every refusal tells the operator to change.
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control_core/site.h"

namespace longhaul::control::test {
namespace {

namespace fs = std::filesystem;

// Every wrong field is refused with a text that names the remedy; nothing of it reaches the target.
TEST_F(Site, RefusesWhatCannotWork) {
    start();
    const auto refused = [&](auto change, const std::string& says) {
        auto wanted = spec();
        change(wanted);
        const auto result = core->dataset_create(wanted);
        ASSERT_FALSE(result.ok()) << says;
        EXPECT_NE(result.error().text.find(says), std::string::npos) << result.error().text;
    };
    refused([](DatasetSpec& s) { s.name = "Lake"; }, "a-z, 0-9");
    refused([](DatasetSpec& s) { s.name = std::string(64, 'a'); }, "1 to 63");
    refused([](DatasetSpec& s) { s.source = "gs://bucket"; }, "posix:/absolute/path");
    refused([](DatasetSpec& s) { s.source = "posix:relative"; }, "absolute");
    refused([](DatasetSpec& s) { s.source = "posix:/does/not/exist"; }, "create or mount");
    refused([](DatasetSpec& s) { s.target.store = "s3://bucket"; }, "posix:/absolute/path");
    refused([](DatasetSpec& s) { s.target.site = "east"; }, "another site");
    refused([](DatasetSpec& s) { s.target.site = "north"; }, "site north is not configured");
    refused([](DatasetSpec& s) { s.traffic = "fast"; }, "latency, bulk or scavenger");
    refused([](DatasetSpec& s) { s.link = "moon"; }, "east-west-1");
    refused([](DatasetSpec& s) { s.rescan_s = 0; }, "out of range");
    refused(
        [](DatasetSpec& s) {
            s.rescan_s = 10;
            s.rpo_target_s = 5;
        },
        "rpo_target_s 5 is below what a rescan every 10 s can prove (20 s): lower rescan_s to 2.5 or raise "
        "the target");
    refused(
        [](DatasetSpec& s) {
            s.floor_bps = 2'000;
            s.cap_bps = 1'000;
        },
        "lower the floor or raise the cap");
    refused(
        [](DatasetSpec& s) {
            s.floor_bps = 1;
            s.traffic = "scavenger";
        },
        "a scavenger has no floor");
    refused([](DatasetSpec& s) { s.weight = 0; }, "weight 0 is out of range");
    EXPECT_EQ(ports->accepts, 1) << "only the unknown site was asked for";
    EXPECT_TRUE(core->datasets().empty());
}

// A site that is away when a dataset is removed hears of it later, also from the process after this one; until then the
// same dataset is not made again, for its site would take it for the old one.
TEST_F(Site, TellsOfARemovalUntilItIsHeard) {
    start();
    create();
    ports->deaf = true;
    ASSERT_TRUE(core->dataset_remove("lake").ok());
    ASSERT_TRUE(eventually([&] { return ports->releases == 1; }));
    EXPECT_EQ(core->dataset_create(spec()).error().code, ErrorCode::unavailable);
    EXPECT_TRUE(core->datasets().empty());
    crash();
    start();
    ports->deaf = false;
    const int tried = ports->releases;
    core->on_peer("west", {clock, clock, clock, clock, {}});
    ASSERT_TRUE(eventually([&] { return ports->releases == tried + 1; }));
    create();
    EXPECT_EQ(core->datasets().size(), 1u);
}

// A replica stands beneath an allowed root or nowhere; the same request gets the same store.
TEST_F(Site, AcceptsReplicasBeneathItsRootsOnly) {
    fs::create_directory(base + "/allowed");
    fs::create_directory(base + "/secret");
    fs::create_directory_symlink(base + "/secret", base + "/allowed/trap");
    config.allowed_roots = {base + "/allowed"};
    start();
    auto wanted = spec();
    const auto accept = [&](const std::string& directory) {
        wanted.target = {"east", "posix:" + directory};
        return core->accept_target("west", wanted);
    };
    for (const auto* outside : {"/secret", "/allowed/../secret", "/allowed/trap/x", "/allowedtoo"}) {
        const auto result = accept(base + outside);
        ASSERT_FALSE(result.ok()) << outside;
        EXPECT_NE(result.error().text.find("allowed root"), std::string::npos);
    }
    EXPECT_TRUE(fs::is_empty(base + "/secret"));
    EXPECT_FALSE(fs::exists(base + "/allowedtoo"));

    const auto first = accept(base + "/allowed/deep/lake");
    ASSERT_TRUE(first.ok()) << first.error().text;
    EXPECT_LT(first.value().store, std::uint64_t{1} << 63);
    EXPECT_TRUE(fs::is_directory(base + "/allowed/deep/lake"));
    EXPECT_EQ(accept(base + "/allowed/deep/lake").value().store, first.value().store);
    EXPECT_EQ(accept(base + "/allowed/elsewhere").error().code, ErrorCode::already_exists);
    wanted.name = "other";
    EXPECT_EQ(accept(base + "/allowed/deep/lake").error().code, ErrorCode::already_exists);
    EXPECT_EQ(accept(base + "/allowed/deep").error().code, ErrorCode::already_exists) << "nested";
    EXPECT_TRUE(eventually([&] { return ports->stores_open().contains({first.value().store, true}); }));
    EXPECT_EQ(core->release_target("west", "lake", first.value().store + 1).error().code,
              ErrorCode::not_found)
        << "what releases the replica before this one may come late";
    EXPECT_TRUE(core->release_target("west", "lake", first.value().store).ok());
    EXPECT_EQ(core->release_target("west", "lake", first.value().store).error().code, ErrorCode::not_found);
}

// Marks move the target's own W_pub, never back; it survives a restart; its lag grows while no mark comes.
TEST_F(Site, TheTargetComputesItsOwnLag) {
    start();
    auto wanted = spec();
    wanted.target = {"east", "posix:" + base + "/replica"};
    wanted.rescan_s = 10;
    wanted.rpo_target_s = 60;
    const auto accepted = core->accept_target("west", wanted);
    ASSERT_TRUE(accepted.ok()) << accepted.error().text;
    ASSERT_EQ(core->rpo().size(), 1u);
    EXPECT_EQ(core->rpo()[0].role, "target");
    EXPECT_EQ(core->rpo()[0].state, "SEEDING");
    EXPECT_FALSE(core->rpo()[0].rpo_lag_s);
    const WallNs mark = clock - 5'000'000'000;
    core->on_mark(accepted.value().store, mark);
    ASSERT_TRUE(eventually([&] { return core->rpo()[0].watermarks.w_pub == mark; }));
    EXPECT_FALSE(core->rpo()[0].rpo_lag_s) << "by whose clock?";
    EXPECT_EQ(core->rpo()[0].state, "UNKNOWN");
    const WallNs now = clock;
    core->on_peer("west", {now, now, now, now, {}});  // the source's clock is as ours
    ASSERT_TRUE(eventually([&] { return core->rpo()[0].rpo_lag_s.has_value(); }));
    core->on_mark(accepted.value().store, mark - 1'000);
    EXPECT_NEAR(*core->rpo()[0].rpo_lag_s, 5, 0.001);
    EXPECT_EQ(core->rpo()[0].state, "PROTECTED");
    advance(40);
    EXPECT_EQ(core->rpo()[0].state, "STALLED");
    crash();
    start();
    EXPECT_EQ(core->rpo()[0].watermarks.w_pub, mark);
    EXPECT_NEAR(*core->rpo()[0].rpo_lag_s, 45, 0.02) << "with what two clocks may drift apart in 40 s";
}

// Two datasets cannot own one target, nor two targets one name: refused before the target is asked, nothing changes.
TEST_F(Site, OneTargetHasOneOwner) {
    start();
    create();
    const int asked = ports->accepts;
    auto second = spec();
    second.name = "other";
    fs::create_directory(base + "/other");
    second.source = "posix:" + base + "/other";
    const auto taken = core->dataset_create(second);
    ASSERT_FALSE(taken.ok());
    EXPECT_EQ(taken.error().code, ErrorCode::already_exists);
    EXPECT_NE(taken.error().text.find("belongs to dataset lake: choose another directory"), std::string::npos)
        << taken.error().text;
    second.name = "lake";
    second.target.store = "posix:/replica/other";
    EXPECT_EQ(core->dataset_create(second).error().code, ErrorCode::already_exists);
    EXPECT_EQ(ports->accepts, asked);
    EXPECT_EQ(core->datasets().size(), 1u);
}

// A policy changes while its dataset runs, and outlives the process; what cannot hold is refused like a new one's, with
// what to change, and leaves everything as it was.
TEST_F(Site, ADatasetChangesWhileItRuns) {
    start();
    write("a", "1");
    create();
    ASSERT_TRUE(converged());
    DatasetChange change;
    change.floor_bps = 100'000'000;
    change.cap_bps = 500'000'000;
    change.weight = 3;
    const auto changed = core->dataset_change("lake", change);
    ASSERT_TRUE(changed.ok()) << changed.error().text;
    EXPECT_EQ(changed.value().spec.cap_bps, 500'000'000u);
    ASSERT_TRUE(eventually([&] {
        const auto flows = core->flows();
        return !flows.empty() && flows[0].cap_bps == 500'000'000 && flows[0].rate_bps <= 500'000'000;
    })) << "the scheduler goes by it";

    const auto refused = [&](const DatasetChange& wanted, const std::string& says) {
        const auto result = core->dataset_change("lake", wanted);
        ASSERT_FALSE(result.ok()) << says;
        EXPECT_NE(result.error().text.find(says), std::string::npos) << result.error().text;
    };
    DatasetChange wrong;
    wrong.floor_bps = 600'000'000;
    refused(wrong, "lower the floor or raise the cap");
    wrong.cap_bps = 0;
    wrong.floor_bps = 20'000'000'000;
    refused(wrong, "east-west-1");
    wrong = {};
    wrong.weight = 0;
    refused(wrong, "weight 0 is out of range");
    EXPECT_EQ(core->dataset_change("none", change).error().code, ErrorCode::not_found);

    crash();
    start();
    const auto spec_now = core->dataset("lake").value().spec;
    EXPECT_EQ(spec_now.floor_bps, 100'000'000u);
    EXPECT_EQ(spec_now.cap_bps, 500'000'000u);
    EXPECT_EQ(spec_now.weight, 3);
}

// A replica may not lie in a tree that is a source here.
TEST_F(Site, RefusesAReplicaInsideASource) {
    start();
    create();
    auto wanted = spec();
    wanted.target = {"east", "posix:" + source + "/inside"};
    EXPECT_EQ(core->accept_target("west", wanted).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace longhaul::control::test
