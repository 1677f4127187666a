// Proves that the metrics are well-formed Prometheus text, that unknown figures have no sample, and that
// METRICS.md lists exactly the families that are served.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "control/api/metrics.h"
#include "tests/unit/control_edge/node.h"

namespace longhaul::control::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Empty, or the first line that breaks the exposition format: HELP and TYPE before samples, known type, legal
// names, escaped labels, numeric value, no sample twice.
std::string malformed_line(const std::string& text) {
    static const std::regex help(R"(# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) \S.*)"),
        type(R"(# TYPE (\S+) (counter|gauge))"),
        sample(
            R"re(([a-zA-Z_:][a-zA-Z0-9_:]*)(\{([a-z_]+="([^"\\\n]|\\\\|\\"|\\n)*")(,[a-z_]+="([^"\\\n]|\\\\|\\"|\\n)*")*\})? (-?[0-9][0-9.e+-]*))re");
    std::string helped, typed, family;
    std::set<std::string> seen, families;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        std::smatch match;
        if (std::regex_match(line, match, help)) {
            helped = match[1];
            if (!families.insert(helped).second) return "second HELP: " + line;
        } else if (std::regex_match(line, match, type)) {
            typed = match[1];
            if (typed != helped) return "TYPE without HELP: " + line;
            if ((match[2] == "counter") != (typed.size() > 6 && typed.ends_with("_total")))
                return "only counters end in _total: " + line;
        } else if (std::regex_match(line, match, sample)) {
            if (match[1] != typed) return "sample outside its family: " + line;
            if (!seen.insert(line.substr(0, line.rfind(' '))).second) return "sample twice: " + line;
        } else {
            return "not of the format: " + line;
        }
    }
    return text.ends_with('\n') ? "" : "no newline at the end";
}

MetricsInput sample_input() {
    FakeCore core;
    fill(core);
    MetricsInput input{
        "east",          "0.1",        true, {{"west", false}}, {}, core.rpo_views, {core.views["lake"]},
        core.flow_views, core.stats(), 7,    core.clock_views};
    LinkView up;
    up.name = "east-west-1";
    up.site = "west";
    up.known = true;
    up.status.state = command::LinkState::up;
    up.status.rtt_ms = 50;
    up.status.tx_packets = 12345678901234567890u;
    up.status.answering = true;
    up.status.lane_list = {{0, 49152, "up", 1, 0, 9, 8, 1, 0}, {1, 50001, "lossy", 0.25, 0.3, 9, 6, 3, 2}};
    LinkView down = up;
    down.name = "east-west-2";
    down.status.state = command::LinkState::down;
    LinkView unknown = up;
    unknown.name = "east-west-3";
    unknown.known = false;
    input.links = {up, down, unknown};
    return input;
}

// The checker itself finds what it is there to find.
TEST(Metrics, CheckerRefusesWrongText) {
    EXPECT_NE(malformed_line("a 1\n"), "");
    EXPECT_NE(malformed_line("# HELP a b\n# TYPE a gauge\na{x=\"\n\"} 1\n"), "");
    EXPECT_NE(malformed_line("# HELP a b\n# TYPE a gauge\na nan\n"), "");
    EXPECT_NE(malformed_line("# HELP a b\n# TYPE a gauge\na 1\na 2\n"), "");
    EXPECT_EQ(malformed_line("# HELP a b\n# TYPE a gauge\na{x=\"\\\"\"} 1e-3\n"), "");
}

// Well-formed, exact to 64 bits, in base units.
TEST(Metrics, AreWellFormed) {
    const std::string text = metrics_text(sample_input());
    EXPECT_EQ(malformed_line(text), "");
    EXPECT_THAT(text,
                HasSubstr("longhaul_rpo_lag_seconds{dataset=\"hot\",site=\"west\",role=\"source\"} 4.5\n"));
    EXPECT_THAT(text, HasSubstr("longhaul_link_rtt_seconds{link=\"east-west-1\",site=\"west\"} 0.05\n"));
    EXPECT_THAT(
        text,
        HasSubstr(
            "longhaul_link_tx_packets_total{link=\"east-west-1\",site=\"west\"} 12345678901234567890\n"));
    EXPECT_THAT(text, HasSubstr("longhaul_link_answering{link=\"east-west-1\",site=\"west\"} 1\n"));
    EXPECT_THAT(text,
                HasSubstr("longhaul_lane_weight{link=\"east-west-1\",site=\"west\",lane=\"1\"} 0.25\n"));
    EXPECT_THAT(
        text,
        HasSubstr("longhaul_lane_lost_packets_total{link=\"east-west-1\",site=\"west\",lane=\"1\"} 3\n"));
    EXPECT_THAT(text, HasSubstr("longhaul_rpo_watermark_seconds{dataset=\"hot\",site=\"west\",role="
                                "\"source\",stage=\"discovered\"} 1795356629.123\n"));
}

// Seeding has a state and no lag; a link that is down has no RTT; a dataplane that is gone has no counters.
TEST(Metrics, LeaveOutWhatIsNotKnown) {
    const std::string text = metrics_text(sample_input());
    EXPECT_THAT(text, Not(HasSubstr("longhaul_rpo_lag_seconds{dataset=\"lake\"")));
    EXPECT_THAT(text, Not(HasSubstr("longhaul_rpo_within_target{dataset=\"lake\"")));
    EXPECT_THAT(
        text,
        HasSubstr(
            "longhaul_rpo_state{dataset=\"lake\",site=\"west\",role=\"source\",state=\"SEEDING\"} 1\n"));
    EXPECT_THAT(
        text,
        HasSubstr(
            "longhaul_rpo_state{dataset=\"lake\",site=\"west\",role=\"source\",state=\"PROTECTED\"} 0\n"));
    EXPECT_THAT(text, Not(HasSubstr("longhaul_link_rtt_seconds{link=\"east-west-2\"")));
    EXPECT_THAT(text, HasSubstr("longhaul_link_up{link=\"east-west-2\",site=\"west\"} 0\n"));
    EXPECT_THAT(text, HasSubstr("longhaul_link_up{link=\"east-west-3\",site=\"west\"} 0\n"));
    EXPECT_THAT(text, Not(HasSubstr("longhaul_link_tx_packets_total{link=\"east-west-3\"")));
}

// What decided a flow's rate is one of a fixed set of words; a flow without a link is unassigned, whatever its obstacle says.
TEST(Metrics, NameWhatDecidedAFlow) {
    MetricsInput input = sample_input();
    FlowView flow;
    flow.dataset = "hot";
    flow.target_site = "west";
    flow.link = "east-west-1";
    flow.reason = "deadline";
    flow.slack_s = -2.5;
    FlowView stuck = flow;
    stuck.dataset = "cold";
    stuck.link.clear();
    stuck.reason = "link one is closed by its drain";
    stuck.slack_s.reset();
    input.flows = {flow, stuck};
    const std::string text = metrics_text(input);
    EXPECT_EQ(malformed_line(text), "");
    const std::string hot = "{dataset=\"hot\",site=\"west\",link=\"east-west-1\"";
    const std::string cold = "{dataset=\"cold\",site=\"west\",link=\"\"";
    EXPECT_THAT(text, HasSubstr("longhaul_flow_slack_seconds" + hot + "} -2.5\n"));
    EXPECT_THAT(text, Not(HasSubstr("longhaul_flow_slack_seconds" + cold)));
    EXPECT_THAT(text, HasSubstr("longhaul_flow_reason" + hot + ",reason=\"deadline\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("longhaul_flow_reason" + hot + ",reason=\"unassigned\"} 0\n"));
    EXPECT_THAT(text, HasSubstr("longhaul_flow_reason" + cold + ",reason=\"unassigned\"} 1\n"));
}

// Label values cannot break out of their quotes.
TEST(Metrics, EscapeLabels) {
    EXPECT_EQ(escape_label("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    MetricsInput input = sample_input();
    input.rpo[1].dataset = "x\"} 1\nevil{y=\"\x01";
    EXPECT_EQ(malformed_line(metrics_text(input)), "");
}

// The table that people read and the families that are served are the same, name and type.
TEST(Metrics, AreListedInTheTable) {
    std::set<std::string> listed, served;
    std::ifstream table(METRICS_TABLE);
    const std::regex row(R"(\| `(longhaul_\w+)` \| (gauge|counter) \|.*)");
    for (std::string line; std::getline(table, line);)
        if (std::smatch match; std::regex_match(line, match, row))
            listed.insert(match[1].str() + " " + match[2].str());
    for (const MetricFamily& family : metric_families())
        served.insert(std::string(family.name) + " " + family.type);
    EXPECT_EQ(listed, served);
}

// The running server serves the same text, of the type that Prometheus asks for.
TEST(Metrics, AreServed) {
    Node node;
    fill(node.core);
    const auto result = node.client().Get("/metrics");
    ASSERT_TRUE(result);
    EXPECT_THAT(result->get_header_value("Content-Type"), HasSubstr("text/plain; version=0.0.4"));
    EXPECT_EQ(malformed_line(result->body), "");
    EXPECT_THAT(result->body, HasSubstr("longhaul_dataplane_up 1\n"));
}

}  // namespace
}  // namespace longhaul::control::test
