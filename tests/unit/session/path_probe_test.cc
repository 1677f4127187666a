// Path MTU discovery against a path that drops what is too long: found, survived, and not imagined.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/session/path_probe.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "dataplane/base/random.h"

namespace longhaul::session {
namespace {

constexpr TimeNs kRtt = 100 * kMillisecond;
constexpr TimeNs kTimeout = 120 * kMillisecond;

// Answers come a round trip later, but for what is longer than the path's limit or lost by chance.
class Path {
  public:
    explicit Path(const PathProbeConfig& config, std::uint16_t limit, double loss = 0, std::uint64_t seed = 1)
        : probe(config, 0), limit_(limit), loss_(loss), random_(seed) {}

    // Until `end` or a verdict; data completes while `moving`.
    void run(TimeNs end, bool waiting, bool moving) {
        for (; now < end && !probe.verdict(); now += 10 * kMillisecond) {
            if (moving) ++completed;
            probe.observe(waiting, completed, kTimeout, now);
            while (const auto ask = probe.next()) {
                ++asks;
                lanes.insert(ask->lane);
                if (ask->probe.symbol_bytes > limit_ || random_.chance(loss_)) continue;
                answers_.push_back({now + kRtt, {ask->probe.token, ask->probe.symbol_bytes, true}});
            }
            while (!answers_.empty() && answers_.front().first <= now) {
                probe.on_answer(answers_.front().second, now);
                answers_.erase(answers_.begin());
            }
        }
    }
    void set_limit(std::uint16_t limit) { limit_ = limit; }

    PathProbe probe;
    TimeNs now = 0;
    std::uint64_t completed = 0;
    unsigned asks = 0;
    std::set<unsigned> lanes;

  private:
    std::uint16_t limit_;
    double loss_;
    Random random_;
    std::vector<std::pair<TimeNs, wire::Probe>> answers_;
};

PathProbeConfig standard() {
    PathProbeConfig config;
    config.lanes = 4;
    return config;
}

// Proves: a path that carries the session's size is confirmed by one packet, and nothing more is sent while data moves.
TEST(PathProbe, AGoodPathCostsOnePacket) {
    Path path(standard(), 1408);
    path.run(60 * kSecond, true, true);
    EXPECT_EQ(path.asks, 1u);
    EXPECT_FALSE(path.probe.verdict());
}

// Proves: a path too narrow from the start is found within three seconds, with the largest size of the table that passes.
TEST(PathProbe, ANarrowPathIsFoundAtTheStart) {
    Path path(standard(), 1300);
    path.run(10 * kSecond, true, false);
    ASSERT_TRUE(path.probe.verdict());
    EXPECT_EQ(*path.probe.verdict(), 1280);  // MTU 1360
    EXPECT_LT(path.now, 3 * kSecond);
    EXPECT_EQ(path.lanes.size(), 4u);
}

// Proves: a path that turns narrow under way is noticed when data stalls, within three seconds.
TEST(PathProbe, ABlackHoleUnderWayIsFound) {
    Path path(standard(), 1408);
    path.run(5 * kSecond, true, true);
    path.set_limit(1200);
    path.run(20 * kSecond, true, false);
    ASSERT_TRUE(path.probe.verdict());
    EXPECT_EQ(*path.probe.verdict(), 1152);  // MTU 1280 leaves 1204 bytes: 18 x 64
    EXPECT_LT(path.now, 8 * kSecond);
}

// Proves: neither a dead path nor an idle one nor a disk that stalls makes the packets smaller.
TEST(PathProbe, NothingElseShrinks) {
    Path dead(standard(), 0);
    dead.run(60 * kSecond, true, false);
    EXPECT_FALSE(dead.probe.verdict());
    Path idle(standard(), 1408);
    idle.run(60 * kSecond, false, false);
    EXPECT_EQ(idle.asks, 1u);
    Path stalled(standard(), 1408);
    stalled.run(60 * kSecond, true, false);
    EXPECT_FALSE(stalled.probe.verdict());
}

// Proves: heavy loss is not taken for a black hole; the seed of a failure is printed.
TEST(PathProbe, LossIsNoBlackHole) {
    unsigned shrunk = 0;
    for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
        Path path(standard(), 1408, 0.1, seed);
        path.run(3 * kSecond, true, false);
        if (!path.probe.verdict()) continue;
        ++shrunk;
        RecordProperty("seed", static_cast<int>(seed));
    }
    EXPECT_LE(shrunk, 1u);  // four asks lost of four: one in ten thousand
}

// Proves: after ten minutes larger sizes are tried, and found when the path has them again; a narrow path stays as it is.
TEST(PathProbe, GrowsWhenThePathDoes) {
    PathProbeConfig config = standard();
    config.symbol_bytes = 1152;
    config.symbol_bytes_max = 1408;
    Path path(config, 1152);
    path.run(1000 * kSecond, true, true);
    EXPECT_FALSE(path.probe.verdict());
    path.set_limit(1408);
    path.run(2000 * kSecond, true, true);
    ASSERT_TRUE(path.probe.verdict());
    EXPECT_EQ(*path.probe.verdict(), 1408);
    EXPECT_LT(path.now, 1300 * kSecond);
}

// Proves: a wish to grow that has to wait does not hide a path that shrinks meanwhile.
TEST(PathProbe, AWishToGrowYieldsToABlackHole) {
    PathProbeConfig config = standard();
    config.symbol_bytes = 1280;
    config.symbol_bytes_max = 1408;
    Path path(config, 1408);
    path.run(700 * kSecond, true, true);
    ASSERT_TRUE(path.probe.verdict());
    ASSERT_EQ(*path.probe.verdict(), 1408);
    path.set_limit(1152);
    for (; path.now < 710 * kSecond && path.probe.verdict() == 1408; path.now += 10 * kMillisecond)
        path.probe.observe(true, path.completed, kTimeout, path.now);
    path.run(710 * kSecond, true, false);
    ASSERT_TRUE(path.probe.verdict());
    EXPECT_EQ(*path.probe.verdict(), 1152);
}

// Proves: answers to nothing that was asked, or to an earlier question, change nothing.
TEST(PathProbe, StrayAnswersAreVoid) {
    PathProbe probe(standard(), 0);
    while (probe.next()) {
    }
    probe.on_answer({77, 1408, true}, 0);
    probe.on_answer({0, 1408, true}, 0);
    EXPECT_NE(probe.next_wake(), kNever);  // still checking
    probe.on_answer({1, 1408, true}, 0);
    EXPECT_EQ(probe.next_wake(), kNever);
}

}  // namespace
}  // namespace longhaul::session
