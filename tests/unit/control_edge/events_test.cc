// Proves that events reach those who follow them: resumed where a stream broke off, bounded in number, and over a
// webhook that signs, retries, gives up and goes on.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "control/api/events.h"
#include "control/api/webhook.h"
#include "control/cli/event_reader.h"
#include "tests/unit/control_edge/node.h"

namespace longhaul::control::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

Event event_of(const std::string& text) {
    Event event;
    event.kind = "BREACH";
    event.dataset = "lake";
    event.text = text;
    return event;
}

// Follows until it has seen so many events, on a thread of its own.
class Follower {
  public:
    Follower(const Node& node, std::size_t wanted, const std::string& after = {}) : client_(node.client()) {
        thread_ = std::thread([this, wanted, after] {
            httplib::Headers headers{{"Accept", "text/event-stream"}};
            if (!after.empty()) headers.emplace("Last-Event-ID", after);
            cli::EventReader reader([&](const std::string& id, const json& event) {
                const std::scoped_lock lock(mutex_);
                seen_.emplace_back(id, event.value("text", ""));
            });
            client_.Get(
                "/v1/events", headers,
                [&](const httplib::Response& response) {
                    status_ = response.status;
                    return true;
                },
                [&](const char* data, std::size_t length) {
                    reader.take({data, length});
                    return seen().size() < wanted;
                });
            ended_ = true;
        });
    }
    ~Follower() {
        client_.stop();
        thread_.join();
    }
    std::vector<std::pair<std::string, std::string>> seen() {
        const std::scoped_lock lock(mutex_);
        return seen_;
    }
    int status() const { return status_; }
    bool ended() const { return ended_; }

  private:
    httplib::Client client_;
    std::mutex mutex_;
    std::vector<std::pair<std::string, std::string>> seen_;
    std::atomic<int> status_{0};
    std::atomic<bool> ended_{false};
    std::thread thread_;
};

// A new stream begins now; one with Last-Event-ID where the last one ended; nothing is seen twice or left out.
TEST(Events, AreFollowedAndResumed) {
    Node node;
    node.core.note(event_of("old"));
    {
        Follower follower(node, 2);
        ASSERT_TRUE(eventually([&] { return follower.status() == 200; }));
        node.core.note(event_of("two"));
        node.core.note(event_of("three"));
        ASSERT_TRUE(eventually([&] { return follower.ended(); }));
        using Seen = std::vector<std::pair<std::string, std::string>>;
        EXPECT_EQ(follower.seen(), (Seen{{"2", "two"}, {"3", "three"}}));
    }
    node.core.note(event_of("four, while nobody looked"));
    Follower again(node, 1, "3");
    ASSERT_TRUE(eventually([&] { return again.ended(); }));
    EXPECT_EQ(again.seen().at(0).second, "four, while nobody looked");
    const auto list = json::parse(node.client().Get("/v1/events?since=2")->body);
    EXPECT_EQ(list["events"].size(), 2u);
    EXPECT_EQ(list["last_id"], 4);
    EXPECT_EQ(list["more"], false);
}

// Streams are bounded; the API goes on answering while all places are taken; a place that is left is free again.
TEST(Events, StreamsAreBounded) {
    Node node;
    {
        std::vector<std::unique_ptr<Follower>> followers;
        for (std::size_t i = 0; i < EventStreams::kClientsMax; ++i)
            followers.push_back(std::make_unique<Follower>(node, 100));
        for (const auto& follower : followers)
            ASSERT_TRUE(eventually([&] { return follower->status() == 200; }));
        auto client = node.client();
        const auto refused = client.Get("/v1/events", {{"Accept", "text/event-stream"}});
        EXPECT_EQ(refused->status, 503);
        EXPECT_THAT(refused->body, HasSubstr("already 8 clients"));
        EXPECT_EQ(node.client().Get("/v1/status")->status, 200);
    }
    EXPECT_TRUE(eventually([&] {
        Follower follower(node, 1);
        return eventually([&] { return follower.status() != 0; }) && follower.status() == 200;
    }));
}

// What a peer or a REST client asked for and was refused is on record: who, what, why.
TEST(Events, RecordRefusedPolicies) {
    Node node;
    fill(node.core);
    const auto refused = node.client().Post(
        "/v1/datasets", R"({"name":"lake","source":"posix:/x","target":{"site":"west","store":"posix:/y"}})",
        "application/json");
    EXPECT_EQ(refused->status, 409);
    const auto events = node.core.events(7, 10);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].kind, "POLICY_REFUSED");
    EXPECT_EQ(events[0].who, "rest:127.0.0.1");
    EXPECT_THAT(events[0].text, HasSubstr("choose another name"));
    EXPECT_THAT(events[0].object, HasSubstr("posix:/x"));
    EXPECT_EQ(
        node.client().Patch("/v1/datasets/lake", R"({"floor_bps":"14.2G"})", "application/json")->status,
        400);
    const auto more = node.core.events(8, 10);
    ASSERT_EQ(more.size(), 1u);
    EXPECT_EQ(more[0].kind, "POLICY_REFUSED");
    EXPECT_THAT(more[0].text, HasSubstr("lower the floor"));
}

TEST(Events, ReaderSkipsWhatIsNoEvent) {
    std::vector<std::string> ids;
    cli::EventReader reader([&](const std::string& id, const json&) { ids.push_back(id); });
    reader.take(": comment\n\nid: 1\nda");
    reader.take("ta: {\"id\":1}\r\n\r\nid: 2\ndata: not json\n\nnonsense\ndata: [1]\n\n");
    reader.take("id: 3\ndata: " + std::string(cli::EventReader::kLineMax + 5, 'x') +
                "\n\nid: 4\ndata: {}\n\n");
    EXPECT_EQ(ids, (std::vector<std::string>{"1", "4"}));
}

class Receiver {
  public:
    Receiver() {
        server_.Post("/hook", [this](const httplib::Request& request, httplib::Response& response) {
            const std::scoped_lock lock(mutex_);
            const std::string timestamp = request.get_header_value("X-Longhaul-Timestamp");
            genuine = genuine && request.get_header_value("X-Longhaul-Signature") ==
                                     webhook_signature("sixteen characters", timestamp, request.body);
            ++posts;
            if (refuse > 0) {
                --refuse;
                response.status = 500;
                return;
            }
            taken.push_back(json::parse(request.body)["text"]);
        });
        port_ = server_.bind_to_any_port("127.0.0.1");
        thread_ = std::thread([this] { server_.listen_after_bind(); });
        while (!server_.is_running())
            std::this_thread::yield();
    }
    ~Receiver() {
        server_.stop();
        thread_.join();
    }
    WebhookConfig config() const {
        const std::string origin = "http://127.0.0.1:" + std::to_string(port_);
        return {origin + "/hook", origin, "/hook", ""};
    }
    void set_refuse(unsigned times) {
        const std::scoped_lock lock(mutex_);
        refuse = times;
    }
    std::vector<std::string> all() {
        const std::scoped_lock lock(mutex_);
        return taken;
    }

    unsigned refuse = 0, posts = 0;
    bool genuine = true;
    std::vector<std::string> taken;

  private:
    httplib::Server server_;
    int port_ = 0;
    std::mutex mutex_;
    std::thread thread_;
};

// Failures are repeated in order, then given up; a restart goes on after the last one that was taken.
TEST(Webhook, SignsRetriesGivesUpAndGoesOn) {
    TempDir directory;
    FakeCore core;
    Receiver receiver;
    const Webhook::Pauses quick{std::chrono::milliseconds(1), std::chrono::milliseconds(4)};
    const std::string cursor = directory / "cursor";
    core.note(event_of("before there was a webhook"));
    {
        Webhook webhook(core, receiver.config(), "sixteen characters", cursor, quick);
        webhook.start();
        receiver.set_refuse(2);
        core.note(event_of("one"));
        ASSERT_TRUE(eventually([&] { return receiver.all().size() == 1; }));
        receiver.set_refuse(Webhook::kTriesMax);
        core.note(event_of("lost"));
        core.note(event_of("two"));
        ASSERT_TRUE(eventually([&] { return receiver.all().size() == 2; }));
        ASSERT_TRUE(eventually([&] { return webhook.counters().last_id == 4; }));
        const auto counters = webhook.counters();
        EXPECT_EQ(counters.delivered, 2u);
        EXPECT_EQ(counters.failed_tries, 2u + Webhook::kTriesMax);
        EXPECT_EQ(counters.given_up, 1u);
    }
    core.note(event_of("while control was down"));
    Webhook later(core, receiver.config(), "sixteen characters", cursor, quick);
    later.start();
    ASSERT_TRUE(eventually([&] { return receiver.all().size() == 3; }));
    EXPECT_EQ(receiver.all(), (std::vector<std::string>{"one", "two", "while control was down"}));
    EXPECT_TRUE(receiver.genuine);
}

// A receiver that is away does not hold up the end of the program.
TEST(Webhook, StopsWhileItWaits) {
    TempDir directory;
    FakeCore core;
    Receiver receiver;
    receiver.set_refuse(1000);
    Webhook webhook(core, receiver.config(), "sixteen characters", directory / "cursor",
                    {std::chrono::hours(1), std::chrono::hours(1)});
    webhook.start();
    core.note(event_of("never"));
    ASSERT_TRUE(eventually([&] { return webhook.counters().failed_tries == 1; }));
    webhook.stop();
}

TEST(Webhook, WantsAPrivateSecretAndAnEncryptedWay) {
    TempDir directory;
    const std::string file = directory / "secret";
    EXPECT_FALSE(load_webhook_secret(file).ok());
    std::ofstream(file) << "sixteen characters\n";
    chmod(file.c_str(), 0644);
    EXPECT_THAT(load_webhook_secret(file).error().text, HasSubstr("chmod 600"));
    chmod(file.c_str(), 0600);
    EXPECT_EQ(load_webhook_secret(file).value(), "sixteen characters");
    std::ofstream(file) << "short\n";
    EXPECT_THAT(load_webhook_secret(file).error().text, HasSubstr("longer secret"));

    const auto parsed = [](const std::string& url) {
        return parse_config(
            "[control]\nsite = \"east\"\nstate_directory = \"/s\"\ndataplane_socket = \"/d\"\n[webhook]\nurl "
            "= \"" +
                url + "\"\nsecret_file = \"/x\"\n",
            "control.toml", {});
    };
    EXPECT_THAT(parsed("http://alerts.example.net/x").error().text, HasSubstr("is not encrypted"));
    EXPECT_THAT(parsed("ftp://alerts.example.net/x").error().text, HasSubstr("is not a URL"));
    const auto good = parsed("https://alerts.example.net/hooks/longhaul");
    ASSERT_TRUE(good.ok()) << good.error().text;
    EXPECT_EQ(good.value().webhook.origin, "https://alerts.example.net");
    EXPECT_EQ(good.value().webhook.path, "/hooks/longhaul");
    EXPECT_TRUE(parsed("http://127.0.0.1:9000/x").ok());
}

}  // namespace
}  // namespace longhaul::control::test
