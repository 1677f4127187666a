// Proves that the program longhaul-control starts, owns its state directory alone, serves, and stops cleanly
// on SIGTERM; and that the example configurations of the tree are accepted.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <httplib.h>
#include <spawn.h>
#include <sys/wait.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "control/api/token.h"
#include "tests/unit/control_edge/support.h"

extern char** environ;

namespace longhaul::control::test {
namespace {

using ::testing::HasSubstr;

class Program {
  public:
    Program(std::vector<std::string> arguments, const std::string& log) {
        arguments.insert(arguments.begin(), LONGHAUL_CONTROL);
        std::vector<char*> pointers;
        for (std::string& argument : arguments)
            pointers.push_back(argument.data());
        pointers.push_back(nullptr);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        for (const int stream : {1, 2})
            posix_spawn_file_actions_addopen(&actions, stream, log.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                             0600);
        LH_ASSERT(posix_spawn(&pid_, LONGHAUL_CONTROL, &actions, nullptr, pointers.data(), environ) == 0);
        posix_spawn_file_actions_destroy(&actions);
    }
    ~Program() {
        if (pid_ > 0) {
            kill(pid_, SIGKILL);
            waitpid(pid_, nullptr, 0);
        }
    }
    void send(int signal) const { kill(pid_, signal); }
    int wait() {
        int status = 0;
        waitpid(pid_, &status, 0);
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    }

  private:
    pid_t pid_ = -1;
};

std::string content(const std::string& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
}

// Serves until SIGTERM; SIGHUP changes nothing; a second process on the same state ends with a text that says
// why.
TEST(ControlProgram, RunsAloneAndStopsCleanly) {
    TempDir directory;
    const ReservedPort port;
    const std::string file = directory / "control.toml", log = directory / "log";
    std::ofstream(file) << "[control]\nsite = \"east\"\nstate_directory = \"" << directory / "state"
                        << "\"\ndataplane_socket = \"" << directory / "dataplane.sock"
                        << "\"\nrest_listen = \"127.0.0.1:" << port.port() << "\"\n";
    Program first({"--config", file}, log);
    httplib::Client client("127.0.0.1", port.port());
    ASSERT_TRUE(eventually([&] { return static_cast<bool>(client.Get("/healthz")); })) << content(log);
    first.send(SIGHUP);
    EXPECT_TRUE(eventually(
        [&] { return client.Get("/healthz")->body.find("start longhaul-dataplane") != std::string::npos; }));
    const auto token = load_token(directory / "state/token");
    ASSERT_TRUE(token.ok());
    client.set_default_headers({{"Authorization", "Bearer " + token.value()}});
    EXPECT_EQ(client.Get("/v1/rpo")->status, 200);

    Program second({"--config", file}, directory / "second");
    EXPECT_EQ(second.wait(), 1);
    EXPECT_THAT(content(directory / "second"),
                HasSubstr("another longhaul-control runs on this state_directory"));
    first.send(SIGTERM);
    EXPECT_EQ(first.wait(), 0) << content(log);
}

// Usage and configuration mistakes end with 2 before anything is touched.
TEST(ControlProgram, RefusesMistakesBeforeItStarts) {
    TempDir directory;
    const std::string file = directory / "control.toml";
    std::ofstream(file) << "[control]\nsite = \"east\"\nstate_directory = \"" << directory / "state"
                        << "\"\ndataplane_sock = \"/x\"\n";
    Program wrong({"--config", file}, directory / "log");
    EXPECT_EQ(wrong.wait(), 2);
    EXPECT_THAT(
        content(directory / "log"),
        HasSubstr(file +
                  ":4: unknown key \"dataplane_sock\" in [control]: did you mean \"dataplane_socket\"?"));
    EXPECT_FALSE(std::filesystem::exists(directory / "state"));
    Program nothing({}, directory / "log");
    EXPECT_EQ(nothing.wait(), 2);
}

// The examples that operators copy are accepted as they are.
TEST(Examples, AreAccepted) {
    for (const char* site : {"east", "west"}) {
        const auto config = load_config(std::string(EXAMPLES) + "/control-" + site + ".toml", {});
        ASSERT_TRUE(config.ok()) << config.error().text;
        EXPECT_EQ(config.value().site, site);
        EXPECT_EQ(config.value().links.size(), 1u);
    }
}

}  // namespace
}  // namespace longhaul::control::test
