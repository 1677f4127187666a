// Proves that REST answers every documented route in its documented shape, lets nobody in without the token,
// and meets every kind of bad input with a problem document that says what to change.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <set>
#include <thread>
#include <vector>

#include "control/api/wait.h"
#include "tests/unit/control_edge/node.h"
#include "tests/unit/control_edge/schema.h"

namespace longhaul::control::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class Api : public ::testing::Test {
  protected:
    // Every error must be a problem document with a title, a detail and its own status.
    static json problem(const httplib::Result& result, int status) {
        EXPECT_TRUE(result) << httplib::to_string(result.error());
        if (!result) return {};
        EXPECT_EQ(result->status, status) << result->body;
        EXPECT_EQ(result->get_header_value("Content-Type"), "application/problem+json");
        json document = json::parse(result->body, nullptr, false);
        EXPECT_EQ(document.value("status", 0), status);
        EXPECT_FALSE(document.value("title", "").empty());
        EXPECT_FALSE(document.value("detail", "").empty());
        return document;
    }
    static std::string detail(const httplib::Result& result, int status) {
        return problem(result, status).value("detail", "");
    }

    httplib::Result post(const std::string& body) {
        return node_.client().Post("/v1/datasets", body, "application/json");
    }

    Node node_;
};

const char* const kDataset =
    R"({"name":"lake","source":"posix:/lake","target":{"site":"west","store":"posix:/srv/replica/lake"},"rpo_target_s":"1m"})";

// Routes of the code and of openapi.json are the same set, and every answer has the shape written there.
TEST_F(Api, AnswersAsDocumented) {
    fill(node_.core);
    auto client = node_.client();
    const json openapi = json::parse(client.Get("/openapi.json")->body);
    const SchemaChecker checker(openapi);
    std::set<std::string> documented, served;
    for (const auto& [path, operations] : openapi["paths"].items())
        for (const auto& [method, operation] : operations.items())
            documented.insert(method + " " + path);
    FakeCore core;
    struct Silent : DataplaneListener {
        std::vector<command::LinkSettings> configured_links() override { return {}; }
        void on_link_refused(std::uint8_t, const Error&) override {}
        void on_up(const DataplaneHello&, const command::StatusReport&) override {}
        void on_down(const std::string&, bool) override {}
        void on_bundle(const command::BundleEvent&) override {}
        void on_mark(std::uint64_t, std::int64_t) override {}
        void on_order(const command::OrderEvent&) override {}
        void on_link(const command::LinkStatus&) override {}
    } listener;
    DataplaneClient dataplane("/nonexistent", "test", listener);
    LinkBook book("east", {});
    const ApiServer server({node_.config, core, book, dataplane, {}}, "token");
    for (auto [method, pattern] : server.routes()) {
        std::transform(method.begin(), method.end(), method.begin(),
                       [](char c) { return static_cast<char>(std::tolower(c)); });
        served.insert(method + " " + pattern);
    }
    EXPECT_EQ(documented, served);

    struct Step {
        const char* method;
        const char* pattern;
        std::string path, body;
        int status;
    };
    const std::vector<Step> steps{
        {"GET", "/healthz", "/healthz", "", 200},
        {"GET", "/v1/status", "/v1/status", "", 200},
        {"GET", "/v1/sites", "/v1/sites", "", 200},
        {"GET", "/v1/links", "/v1/links", "", 200},
        {"GET", "/v1/links/{name}", "/v1/links/east-west-1", "", 200},
        {"GET", "/v1/links/{name}", "/v1/links/nowhere", "", 404},
        {"PATCH", "/v1/links/{name}", "/v1/links/east-west-1", R"({"rate":"500M","fec":"fixed:64,2"})", 200},
        {"PATCH", "/v1/links/{name}", "/v1/links/east-west-1", R"({"mode":"scavenger"})", 200},
        {"PATCH", "/v1/links/{name}", "/v1/links/east-west-1", R"({"mode":"polite"})", 400},
        {"PATCH", "/v1/links/{name}", "/v1/links/east-west-1", R"({"share":0.99})", 200},
        {"PATCH", "/v1/links/{name}", "/v1/links/east-west-1", R"({"share":1.1})", 400},
        {"PATCH", "/v1/links/{name}", "/v1/links/east-west-1", R"({"share":"0.99"})", 400},
        {"PATCH", "/v1/links/{name}", "/v1/links/east-west-1", "{}", 400},
        {"GET", "/v1/datasets", "/v1/datasets", "", 200},
        {"POST", "/v1/datasets", "/v1/datasets", kDataset, 409},
        {"DELETE", "/v1/datasets/{name}", "/v1/datasets/lake", "", 204},
        {"POST", "/v1/datasets", "/v1/datasets", kDataset, 201},
        {"GET", "/v1/datasets/{name}", "/v1/datasets/lake", "", 200},
        {"PATCH", "/v1/datasets/{name}", "/v1/datasets/lake", R"({"link":"east-west-1"})", 200},
        {"PATCH", "/v1/datasets/{name}", "/v1/datasets/lake", "{}", 400},
        {"PATCH", "/v1/datasets/{name}", "/v1/datasets/lake", R"({"link":1})", 400},
        {"PATCH", "/v1/datasets/{name}", "/v1/datasets/lake", R"({"rpo_target_s":1})", 400},
        {"PATCH", "/v1/datasets/{name}", "/v1/datasets/none", R"({"link":""})", 404},
        {"PATCH", "/v1/datasets/{name}", "/v1/datasets/lake", R"({"floor_bps":"500M","weight":2})", 200},
        {"PATCH", "/v1/datasets/{name}", "/v1/datasets/lake", R"({"cap_bps":0})", 200},
        {"PATCH", "/v1/datasets/{name}", "/v1/datasets/lake", R"({"floor_bps":"14.2G"})", 400},
        {"PATCH", "/v1/datasets/{name}", "/v1/datasets/lake", R"({"weight":0})", 400},
        {"PATCH", "/v1/datasets/{name}", "/v1/datasets/none", R"({"weight":2})", 404},
        {"POST", "/v1/datasets/{name}/rescan", "/v1/datasets/lake/rescan", "{}", 202},
        {"POST", "/v1/datasets/{name}/verify", "/v1/datasets/lake/verify", "{}", 202},
        {"POST", "/v1/datasets/{name}/verify", "/v1/datasets/none/verify", "{}", 404},
        {"GET", "/v1/datasets/{name}/verify", "/v1/datasets/lake/verify", "", 200},
        {"GET", "/v1/datasets/{name}/verify", "/v1/datasets/none/verify", "", 404},
        {"POST", "/v1/datasets/{name}/release-deletes", "/v1/datasets/lake/release-deletes", "{}", 202},
        {"POST", "/v1/datasets/{name}/release-deletes", "/v1/datasets/none/release-deletes", "{}", 404},
        {"GET", "/v1/datasets/{name}/failures", "/v1/datasets/lake/failures", "", 200},
        {"GET", "/v1/datasets/{name}/failures", "/v1/datasets/none/failures", "", 404},
        {"POST", "/v1/plan", "/v1/plan", kDataset, 200},
        {"POST", "/v1/plan", "/v1/plan", "{}", 400},
        {"GET", "/v1/links/{name}/impact", "/v1/links/east-west-1/impact?window=2h", "", 200},
        {"GET", "/v1/links/{name}/impact", "/v1/links/none/impact", "", 404},
        {"GET", "/v1/links/{name}/impact", "/v1/links/east-west-1/impact?window=soon", "", 400},
        {"GET", "/v1/datasets/{name}/wait", "/v1/datasets/hot/wait?min_watermark=1000000000", "", 200},
        {"GET", "/v1/datasets/{name}/wait", "/v1/datasets/none/wait?min_watermark=1000000000", "", 404},
        {"GET", "/v1/datasets/{name}/wait", "/v1/datasets/hot/wait?min_watermark=soon", "", 400},
        {"GET", "/v1/datasets/{name}/wait", "/v1/datasets/hot/wait?min_watermark=9000000000&timeout=0", "",
         408},
        {"GET", "/v1/flows", "/v1/flows", "", 200},
        {"GET", "/v1/bundles", "/v1/bundles", "", 200},
        {"GET", "/v1/rpo", "/v1/rpo", "", 200},
        {"GET", "/v1/events", "/v1/events", "", 200},
        {"GET", "/v1/events", "/v1/events?since=7", "", 200},
        {"GET", "/v1/events", "/v1/events?since=x", "", 400},
        {"GET", "/v1/breaches", "/v1/breaches", "", 200},
    };
    for (const Step& step : steps) {
        httplib::Request request;
        request.method = step.method;
        request.path = step.path;
        request.body = step.body;
        const auto result = client.send(request);
        ASSERT_TRUE(result) << step.path;
        EXPECT_EQ(result->status, step.status) << step.method << " " << step.path << ": " << result->body;
        const json body = result->body.empty() ? json() : json::parse(result->body, nullptr, false);
        EXPECT_EQ(checker.check(step.method, step.pattern, step.status, body), "");
    }
}

// What is not known is null, never 0; 64-bit numbers and times arrive exactly.
TEST_F(Api, TellsUnknownFromZero) {
    fill(node_.core);
    const json rpo = json::parse(node_.client().Get("/v1/rpo")->body)["rpo"];
    EXPECT_TRUE(rpo[0]["rpo_lag_s"].is_null());
    EXPECT_TRUE(rpo[0]["watermarks"]["published"].is_null());
    EXPECT_EQ(rpo[1]["rpo_lag_s"], 4.5);
    EXPECT_EQ(rpo[1]["watermarks"]["discovered"], "2026-11-22T14:10:29.123Z");
    EXPECT_EQ(json::parse(node_.client().Get("/v1/datasets/lake")->body)["target_store"],
              "18000000000000000000");
    const json link = json::parse(node_.client().Get("/v1/links/east-west-1")->body);
    EXPECT_TRUE(link["measured"]["rtt_s"].is_null());  // idle: nothing was measured
}

// Only health and the API's description are open; all else, known or not, wants the exact token.
TEST_F(Api, WantsTheToken) {
    auto stranger = node_.client(false);
    EXPECT_EQ(stranger.Get("/healthz")->status, 200);
    EXPECT_EQ(stranger.Get("/openapi.json")->status, 200);
    for (const char* path : {"/metrics", "/v1/status", "/v1/nothing", "/", "/v1/datasets/x"}) {
        const auto refused = stranger.Get(path);
        EXPECT_THAT(detail(refused, 401), HasSubstr("Authorization: Bearer")) << path;
        EXPECT_THAT(refused->get_header_value("WWW-Authenticate"), HasSubstr("Bearer"));
    }
    EXPECT_EQ(stranger.Post("/v1/datasets", kDataset, "application/json")->status, 401);
    EXPECT_TRUE(node_.core.datasets().empty());
    for (const std::string& wrong :
         {node_.token + "0", node_.token.substr(1), std::string(64, '0'), std::string()}) {
        stranger.set_default_headers({{"Authorization", "Bearer " + wrong}});
        EXPECT_EQ(stranger.Get("/v1/status")->status, 401);
    }
    stranger.set_default_headers({{"Authorization", "Basic " + node_.token}});
    EXPECT_EQ(stranger.Get("/v1/status")->status, 401);
}

// The token is 256 bits, its file the owner's only; a file open to others is refused, an existing one is
// kept.
TEST(Token, IsMadeOnceAndPrivately) {
    TempDir directory;
    const std::string file = directory / "token";
    const auto made = load_or_create_token(file);
    ASSERT_TRUE(made.ok()) << made.error().text;
    EXPECT_EQ(made.value().size(), 64u);
    struct stat status {};
    ASSERT_EQ(stat(file.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    EXPECT_EQ(load_or_create_token(file).value(), made.value());
    chmod(file.c_str(), 0644);
    EXPECT_THAT(load_or_create_token(file).error().text, HasSubstr("chmod 600"));
    chmod(file.c_str(), 0600);
    std::ofstream(file) << "short";
    EXPECT_FALSE(load_or_create_token(file).ok());
}

// Malformed JSON is answered with the place where it breaks.
TEST_F(Api, PointsAtMalformedJson) {
    EXPECT_THAT(detail(post("{\"name\": \"lake\",\n  \"source\" 7}"), 400), HasSubstr("line 2, column 12"));
    EXPECT_THAT(detail(post(""), 400), HasSubstr("empty"));
    EXPECT_THAT(detail(post("[1]"), 400), HasSubstr("array: send an object"));
    EXPECT_THAT(detail(post("{\"name\":\"\xff\"}"), 400), HasSubstr("not JSON at line 1"));
    EXPECT_THAT(detail(post(std::string(100000, '[')), 400), HasSubstr("deeper than 16"));
    EXPECT_THAT(detail(post("{\"name\": \"a\"} x"), 400), HasSubstr("not JSON at line 1, column 15"));
}

// Each wrong field is named, all at once, with what to write; unknown ones with the nearest that there is.
TEST_F(Api, NamesWrongFields) {
    const json answer = problem(
        post(
            R"({"name":"Lake","source":7,"target":{"sites":"west","store":"posix:/x"},"mode":"mirror","rpo":5,
                                          "rescan_s":"often","consistency":"group"})"),
        400);
    std::map<std::string, std::string> errors;
    for (const json& error : answer["errors"])
        errors[error["field"]] = error["detail"];
    EXPECT_THAT(errors["name"], HasSubstr("is not a name"));
    EXPECT_THAT(errors["source"], HasSubstr("must be a string, not a number"));
    EXPECT_THAT(errors["target.site"], HasSubstr("missing"));
    EXPECT_THAT(errors["target.sites"], HasSubstr("did you mean \"site\"?"));
    EXPECT_THAT(errors["mode"], HasSubstr("\"namespace\""));
    EXPECT_THAT(errors["rescan_s"], HasSubstr("is not a duration"));
    EXPECT_THAT(errors["consistency"], HasSubstr("\"ordered\""));
    EXPECT_THAT(errors["rpo"], HasSubstr("is not a known field"));
    EXPECT_TRUE(node_.core.datasets().empty());
}

// A caller that waits is answered when the copy that is furthest behind has reached the time, or told after its timeout
// where it stands and why.
TEST_F(Api, WaitsForAWatermark) {
    const auto set = [&](std::optional<WallNs> source, std::optional<WallNs> target) {
        const std::lock_guard lock(node_.core.mutex);
        node_.core.rpo_views.assign(2, sample_dataset("lake").rpo);
        for (auto& view : node_.core.rpo_views)
            view.state = "CATCHING_UP", view.limited_by = "in flight: a";
        node_.core.rpo_views[0].watermarks.w_pub = source;
        node_.core.rpo_views[1].watermarks.w_pub = target;
    };
    constexpr WallNs kSecondNs = 1'000'000'000;
    const std::string wait = "/v1/datasets/lake/wait?min_watermark=2000-01-01T00:00:00.5Z&timeout=";
    constexpr WallNs kWanted = 946'684'800 * kSecondNs + kSecondNs / 2;

    set(kWanted, kWanted - 1);
    const json late = problem(node_.client().Get(wait + "0"), 408);
    EXPECT_EQ(late["code"], "watermark_not_reached");
    EXPECT_EQ(late["w_pub"], rfc3339(kWanted - 1));
    EXPECT_EQ(late["limited_by"], "in flight: a");
    set(kWanted, std::nullopt);
    EXPECT_EQ(problem(node_.client().Get(wait + "0"), 408)["w_pub"], nullptr);

    std::thread reader([&] {
        auto client = node_.client();
        client.set_read_timeout(60);
        const auto answer = client.Get(wait + "60");
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->status, 200) << answer->body;
        EXPECT_EQ(json::parse(answer->body)["w_pub"], rfc3339(kWanted));
    });
    set(kWanted, kWanted);
    reader.join();

    for (const char* wrong :
         {"", "min_watermark=", "min_watermark=-1", "min_watermark=2000-13-01T00:00:00Z",
          "min_watermark=2000-01-01", "min_watermark=99999999999", "min_watermark=1&timeout=61",
          "min_watermark=1&timeout=never", "min_watermark=1&until=2"})
        problem(node_.client().Get(std::string("/v1/datasets/lake/wait?") + wrong), 400);
}

// No more wait than the API can bear; when the server stops they are answered.
TEST_F(Api, BoundsThoseWhoWait) {
    {
        const std::lock_guard lock(node_.core.mutex);
        node_.core.rpo_views.assign(1, sample_dataset("lake").rpo);
        node_.core.rpo_views[0].watermarks.w_pub = 5;
    }
    const std::string wait = "/v1/datasets/lake/wait?min_watermark=9000000000&timeout=60";
    std::atomic<unsigned> stopped{0};
    std::vector<std::thread> waiters;
    for (unsigned i = 0; i < FreshnessBarrier::kWaitersMax; ++i)
        waiters.emplace_back([&] {
            auto client = node_.client();
            client.set_read_timeout(120);
            auto answer = client.Get(wait);
            while (answer && answer->status == 429)  // whoever asks below took the place meanwhile
                answer = client.Get(wait);
            if (answer && answer->status == 503) ++stopped;
        });
    EXPECT_TRUE(eventually([&] {
        const auto answer = node_.client().Get("/v1/datasets/lake/wait?min_watermark=9000000000&timeout=0");
        return answer && answer->status == 429;
    }));
    EXPECT_EQ(node_.client().Get("/v1/status")->status, 200);
    node_.edge->stop();
    for (auto& waiter : waiters)
        waiter.join();
    EXPECT_EQ(stopped, FreshnessBarrier::kWaitersMax);
}

// Oversized bodies and paths, wrong methods and unknown routes each get their status and a remedy.
TEST_F(Api, RefusesOversizeWrongMethodsAndUnknownRoutes) {
    EXPECT_THAT(detail(post(std::string((1 << 20) + 1, ' ')), 413), HasSubstr("1 MiB"));
    EXPECT_EQ(post(std::string(1 << 20, ' '))->status,
              400);  // the limit itself is read, and found to be no JSON
    auto client = node_.client();
    const auto wrong_method = client.Put("/v1/datasets", "{}", "application/json");
    EXPECT_THAT(detail(wrong_method, 405), HasSubstr("GET, POST"));
    EXPECT_EQ(wrong_method->get_header_value("Allow"), "GET, POST");
    EXPECT_THAT(detail(client.Get("/v1/datasetz"), 404), HasSubstr("/openapi.json"));
    EXPECT_EQ(client.Get("/v1/datasets/")->status, 404);
    EXPECT_THAT(detail(client.Get("/" + std::string(2000, 'a')), 414), HasSubstr("shorten"));
    EXPECT_EQ(client.Get("/v1/../../etc/passwd")->status, 404);
}

// Bytes that are no HTTP at all harm nobody: the next caller is served.
TEST_F(Api, OutlivesGarbage) {
    for (const std::string& garbage :
         {std::string("\x16\x03\x01\x02\x00\x01\x00", 7), std::string(100000, 'A'),
          std::string("GET\r\n\r\n"),
          std::string("POST /v1/datasets HTTP/1.1\r\nContent-Length: -5\r\n\r\n")}) {
        const int fd = socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(node_.edge->rest_port());
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        ASSERT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        (void)send(fd, garbage.data(), garbage.size(), MSG_NOSIGNAL);
        close(fd);
    }
    EXPECT_EQ(node_.client().Get("/v1/status")->status, 200);
}

// A link's rate, goal and redundancy reach the dataplane at once; what it refuses is not kept.
TEST_F(Api, ChangesLinksWhileTheyRun) {
    auto client = node_.client();
    const auto changed =
        client.Patch("/v1/links/east-west-1", R"({"rate":"500M","goal":"latency","fec":"fixed:64,2"})",
                     "application/json");
    ASSERT_EQ(changed->status, 200) << changed->body;
    const json told = node_.dataplane->requests("link_add").back();
    EXPECT_EQ(told["rate_bps"], 500'000'000);
    EXPECT_EQ(told["goal"], "latency");
    EXPECT_EQ(told["fixed_parity"], 2);
    EXPECT_THAT(detail(client.Patch("/v1/links/east-west-1", R"({"rate":"1X"})", "application/json"), 400),
                HasSubstr("rate \"1X\" is not a rate"));
    EXPECT_THAT(detail(client.Patch("/v1/links/east-wset-1", R"({"rate":"1G"})", "application/json"), 404),
                HasSubstr("did you mean \"east-west-1\"?"));
    node_.dataplane->refuse("link_add",
                            Error{ErrorCode::exhausted, "900G needs more memory: raise memory_mib"});
    EXPECT_THAT(detail(client.Patch("/v1/links/east-west-1", R"({"rate":"900G"})", "application/json"), 429),
                HasSubstr("raise memory_mib"));
    EXPECT_EQ(json::parse(client.Get("/v1/links/east-west-1")->body)["rate_bps"], 500'000'000);
}

// A link's calendar is control's alone: shown as it is kept, replaced list by list, refused whole.
TEST_F(Api, ChangesALinksCalendar) {
    auto client = node_.client();
    const std::size_t told = node_.dataplane->requests("link_add").size();
    const auto change = [&](const char* body) {
        return client.Patch("/v1/links/east-west-1", body, "application/json");
    };
    const json link = json::parse(
        change(R"({"windows":["mon-fri 08:00-18:00 200M"],"blackouts":["2026-12-24"],"maintenance":[]})")
            ->body);
    EXPECT_EQ(link["windows"], json::array({"mon,tue,wed,thu,fri 08:00-18:00 200000000"}));
    EXPECT_EQ(link["blackouts"], json::array({"2026-12-24"}));
    EXPECT_EQ(node_.dataplane->requests("link_add").size(), told);
    EXPECT_THAT(detail(change(R"({"windows":["mon-fri 8-18 2G"]})"), 400),
                HasSubstr("mon-fri 08:00-18:00 2G"));
    EXPECT_THAT(detail(change(R"({"windows":[7]})"), 400), HasSubstr("must be a list of texts"));
    EXPECT_THAT(detail(change(R"({"blackouts":["2026-02-30"]})"), 400), HasSubstr("not understood"));
    EXPECT_THAT(detail(change("{}"), 400), HasSubstr("windows"));
    EXPECT_EQ(json::parse(client.Get("/v1/links/east-west-1")->body)["windows"].size(), 1u) << "as it was";
    EXPECT_EQ(json::parse(change(R"({"windows":[]})")->body)["windows"], json::array());
}

// What the scheduler goes by is read from numbers and texts, shown as numbers, and checked.
TEST_F(Api, ReadsPolicies) {
    json body = json::parse(kDataset);
    body.update(
        {{"floor_bps", "500M"}, {"cap_bps", 2'000'000'000}, {"weight", 2.5}, {"expect_change_bps", "1G"}});
    const auto made = post(body.dump());
    ASSERT_EQ(made->status, 201) << made->body;
    const json shown = json::parse(made->body);
    EXPECT_EQ(shown["floor_bps"], 500'000'000);
    EXPECT_EQ(shown["cap_bps"], 2'000'000'000);
    EXPECT_EQ(shown["weight"], 2.5);
    EXPECT_EQ(shown["expect_change_bps"], 1'000'000'000);
    body.update({{"floor_bps", "fast"}, {"cap_bps", -1}, {"weight", 0}, {"expect_burst_bytes", 1.5}});
    std::map<std::string, std::string> errors;
    const json answer = problem(post(body.dump()), 400);
    for (const json& error : answer["errors"])
        errors[error["field"]] = error["detail"];
    EXPECT_THAT(errors["floor_bps"], HasSubstr("is not a rate"));
    EXPECT_THAT(errors["cap_bps"], HasSubstr("must be a rate"));
    EXPECT_THAT(errors["weight"], HasSubstr("0.01"));
    EXPECT_THAT(errors["expect_burst_bytes"], HasSubstr("whole number"));
}

// Health follows the dataplane, and says why it is bad.
TEST_F(Api, SaysWhenTheDataplaneIsGone) {
    auto client = node_.client();
    EXPECT_EQ(client.Get("/healthz")->status, 200);
    node_.dataplane->kill();
    ASSERT_TRUE(eventually([&] { return client.Get("/healthz")->status == 503; }));
    EXPECT_THAT(detail(client.Get("/healthz"), 503), HasSubstr("dataplane"));
    EXPECT_EQ(json::parse(client.Get("/v1/links/east-west-1")->body)["state"], "unknown");
    EXPECT_TRUE(json::parse(client.Get("/v1/status")->body)["dataplane"]["boot_id"].is_null());
}

// Two processes cannot share a port unnoticed, and REST never leaves the machine.
TEST_F(Api, RefusesATakenPortAndForeignAddresses) {
    ControlConfig config = sample_config(node_.directory, "east");
    config.rest_listen.port = node_.edge->rest_port();
    Edge second(config);
    FakeCore core;
    EXPECT_THAT(second.start(core).error().text, HasSubstr("cannot listen"));
    config.rest_listen = {"0.0.0.0", 0};
    Edge open(config);
    EXPECT_THAT(open.start(core).error().text, HasSubstr("SSH tunnel or a TLS proxy"));
}

}  // namespace
}  // namespace longhaul::control::test
