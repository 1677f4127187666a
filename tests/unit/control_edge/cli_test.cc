// Proves that the program `longhaul` shows, changes and fails as documented, against a live server: tables
// for people, JSON for scripts, and an exit status for each kind of failure.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <sys/wait.h>

#include <csignal>
#include <filesystem>

#include "tests/unit/control_edge/node.h"

namespace longhaul::control::test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

struct Outcome {
    int status = -1;
    std::string output;  // both streams
};

Outcome run(const std::string& arguments, const std::string& environment = {}) {
    Outcome out;
    std::FILE* pipe = popen((environment + " exec " LONGHAUL_CLI " " + arguments + " 2>&1").c_str(), "r");
    LH_ASSERT(pipe != nullptr);
    std::array<char, 4096> buffer{};
    while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe))
        out.output.append(buffer.data(), got);
    const int status = pclose(pipe);
    out.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return out;
}

class Cli : public ::testing::Test {
  protected:
    Outcome longhaul(const std::string& arguments) {
        return run("--url " + node_.url() + " --token-file " + node_.config.token_file + " " + arguments);
    }
    Node node_;
};

// Every view prints a table with units, and with --json the document of REST.
TEST_F(Cli, ShowsEveryView) {
    fill(node_.core);
    const std::vector<std::pair<std::string, std::string>> expected{
        {"status", "dataplane   up, version fake"},
        {"sites", "east (this)"},
        {"links", "1 Gbit/s"},
        {"datasets", "west=posix:/srv/replica"},
        {"flows", "480 Mbit/s"},
        {"bundles", "1.0 MiB"},
        {"rpo", "4.5 s"},
        {"datasets failures lake", "let longhaul read it"}};
    for (const auto& [command, part] : expected) {
        const Outcome table = longhaul(command);
        EXPECT_EQ(table.status, 0) << command << ": " << table.output;
        EXPECT_THAT(table.output, HasSubstr(part)) << command;
        const Outcome document = longhaul(command + " --json");
        EXPECT_EQ(document.status, 0);
        EXPECT_TRUE(json::parse(document.output, nullptr, false).is_object()) << document.output;
    }
    EXPECT_THAT(longhaul("rpo").output, HasSubstr("SEEDING"));
    // Why the link is not up, as soon as the peer has been asked.
    EXPECT_TRUE(eventually([&] {
        return longhaul("links").output.find("east-west-1: site west at https://") != std::string::npos;
    }));
}

// A dataset is created, scanned again and removed; a refusal prints title and detail of the server and ends
// with 1.
TEST_F(Cli, SteersDatasets) {
    const std::string create =
        "datasets create --name lake --source posix:/lake --target west=posix:/srv/replica/lake --rpo 60s "
        "--rescan 5s --mode copy --delete-hold-share 0.25 --delete-hold-objects 5000";
    EXPECT_EQ(longhaul(create).status, 0);
    const auto spec = node_.core.dataset("lake").value().spec;
    EXPECT_EQ(spec.rpo_target_s, 60);
    EXPECT_EQ(spec.rescan_s, 5);
    EXPECT_EQ(spec.mode, Mode::copy);
    EXPECT_EQ(spec.delete_hold_share, 0.25);
    EXPECT_EQ(spec.delete_hold_objects, 5000u);
    EXPECT_EQ(spec.target.site, "west");
    const Outcome again = longhaul(create);
    EXPECT_EQ(again.status, 1);
    EXPECT_THAT(again.output, HasSubstr("Already exists: a dataset lake exists: choose another name"));
    EXPECT_EQ(longhaul("datasets set lake --link east-west-2").status, 0);
    EXPECT_EQ(node_.core.dataset("lake").value().spec.link, "east-west-2");
    EXPECT_EQ(longhaul("datasets set lake").status, 2);
    EXPECT_EQ(longhaul("datasets rescan lake").status, 0);
    EXPECT_THAT(longhaul("datasets release-deletes lake").output,
                HasSubstr("released 0 held deletes of lake"));
    EXPECT_EQ(longhaul("datasets release-deletes nothing").status, 1);
    EXPECT_THAT(longhaul("verify lake --status").output, HasSubstr("never"));
    const Outcome verified = longhaul("verify lake --wait");
    EXPECT_EQ(verified.status, 0);
    EXPECT_THAT(verified.output, AllOf(HasSubstr("done"), HasSubstr("2023-11-14T22:14:20"), HasSubstr("41")));
    EXPECT_EQ(longhaul("verify nothing").status, 1);
    ASSERT_EQ(longhaul("datasets create --name rotten --source posix:/rot --target west=posix:/rot").status,
              0);
    EXPECT_EQ(longhaul("verify rotten").status, 0);
    const Outcome rotten = longhaul("verify rotten --wait");
    EXPECT_EQ(rotten.status, 1);
    EXPECT_THAT(rotten.output, HasSubstr("longhaul events names the objects"));
    EXPECT_EQ(longhaul("datasets remove rotten").status, 0);
    EXPECT_EQ(longhaul("datasets remove lake").status, 0);
    EXPECT_EQ(longhaul("datasets remove lake").status, 1);
    const Outcome wrong =
        longhaul("datasets create --name lake --source posix:/lake --target west=posix:/x --rpo soon");
    EXPECT_EQ(wrong.status, 1);
    EXPECT_THAT(wrong.output, HasSubstr("rpo_target_s \"soon\" is not a duration"));
}

// Waiting ends with what is published, or is refused with where it stands.
TEST_F(Cli, WaitsForAWatermark) {
    fill(node_.core);
    const Outcome fresh = longhaul("wait hot --min-watermark 2020-01-01T00:00:00Z");
    EXPECT_EQ(fresh.status, 0) << fresh.output;
    EXPECT_THAT(fresh.output, HasSubstr("hot is published up to 2026-"));
    const Outcome late = longhaul("wait hot --min-watermark 2100-01-01T00:00:00Z --timeout 0s");
    EXPECT_EQ(late.status, 1);
    EXPECT_THAT(late.output, HasSubstr("it is PROTECTED"));
    EXPECT_EQ(longhaul("wait").status, 2);
}

// A link's settings change while it runs.
TEST_F(Cli, SetsLinks) {
    const Outcome set = longhaul("links set east-west-1 --rate 500M --fec fixed:64,2 --goal latency");
    EXPECT_EQ(set.status, 0) << set.output;
    EXPECT_THAT(set.output, HasSubstr("500 Mbit/s"));
    EXPECT_EQ(node_.dataplane->requests("link_add").back()["fixed_parity"], 2);
    EXPECT_EQ(longhaul("links set east-west-1 --fec adaptive").status, 0);
    EXPECT_FALSE(node_.edge->links().view("east-west-1")->settings.fixed_parity.has_value());
    EXPECT_EQ(longhaul("links set nowhere --rate 1G").status, 1);
    EXPECT_EQ(longhaul("links set east-west-1").status, 2);
}

// Each kind of failure has its exit status, and its text says what to do.
TEST_F(Cli, EndsWithTheRightStatus) {
    for (const char* usage : {"", "rpi", "rpo now", "rpo --rate 1G", "datasets create --name a",
                              "datasets remove", "--colour", "datasets create --name a --source b --target c",
                              "rpo --watch=never", "datasets rescan a --watch"}) {
        const Outcome outcome = longhaul(usage);
        EXPECT_EQ(outcome.status, 2) << usage << ": " << outcome.output;
    }
    EXPECT_THAT(longhaul("rpi").output, HasSubstr("did you mean \"rpo\"?"));
    const ReservedPort nobody;
    const Outcome unreachable = run("--url http://127.0.0.1:" + std::to_string(nobody.port()) +
                                    " --token-file " + node_.config.token_file + " rpo");
    EXPECT_EQ(unreachable.status, 3);
    EXPECT_THAT(unreachable.output, HasSubstr("cannot reach longhaul-control"));
    EXPECT_EQ(run("--url ftp://x:1 rpo").status, 2);
    EXPECT_EQ(run("--url " + node_.url() + " --token-file /nonexistent rpo").status, 2);
    EXPECT_EQ(run("--help").status, 0);
    EXPECT_THAT(run("--version").output, MatchesRegex("longhaul [0-9.]+\n"));
}

// The environment gives URL and token file as well as options do; a wrong token is refused with the server's
// words.
TEST_F(Cli, TakesTheEnvironment) {
    const std::string url = "LONGHAUL_URL=" + node_.url();
    EXPECT_EQ(run("rpo", url + " LONGHAUL_TOKEN_FILE=" + node_.config.token_file).status, 0);
    const auto wrong = load_or_create_token(node_.directory / "other.token");
    const Outcome refused = run("rpo", url + " LONGHAUL_TOKEN_FILE=" + (node_.directory / "other.token"));
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.output, HasSubstr("Token required"));
}

// --watch prints again and again until it is stopped.
TEST_F(Cli, Watches) {
    std::FILE* pipe = popen(("echo $$; exec " LONGHAUL_CLI " --json --url " + node_.url() + " --token-file " +
                             node_.config.token_file + " rpo --watch 0.1")
                                .c_str(),
                            "r");
    ASSERT_NE(pipe, nullptr);
    std::array<char, 65536> line{};
    ASSERT_NE(std::fgets(line.data(), line.size(), pipe), nullptr);
    const pid_t child = static_cast<pid_t>(std::stol(line.data()));
    for (unsigned i = 0; i < 3; ++i) {
        ASSERT_NE(std::fgets(line.data(), line.size(), pipe), nullptr);
        EXPECT_TRUE(json::parse(line.data(), nullptr, false).is_object());
    }
    kill(child, SIGTERM);
    pclose(pipe);
}

// Certificates are made by the same program, and never overwritten.
TEST(CliPki, MakesCertificates) {
    TempDir directory;
    const std::string where = " --directory " + directory.path() + "/pki";
    EXPECT_EQ(run("pki issue --site east" + where).status, 1);  // no authority yet
    EXPECT_EQ(run("pki init --name 'the authority'" + where).status, 0);
    EXPECT_EQ(run("pki issue --site east --dns east.example --ip 192.0.2.1 --ip 2001:db8::1" + where).status,
              0);
    const Outcome again = run("pki issue --site east" + where);
    EXPECT_EQ(again.status, 1);
    EXPECT_THAT(again.output, HasSubstr("not overwritten"));
    EXPECT_TRUE(std::filesystem::exists(directory / "pki/east.key"));
    EXPECT_EQ(run("pki init" + where).status, 2);
}

}  // namespace
}  // namespace longhaul::control::test
