// The command line tool `longhaul`: REST for people and scripts, and the making of certificates.
// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "control/api/token.h"
#include "control/cli/arguments.h"
#include "control/cli/rest_client.h"
#include "control/cli/show.h"
#include "control/peer/pki.h"

namespace longhaul::control::cli {
namespace {

using nlohmann::json;

struct View {
    const char* path;
    std::string (*show)(const json&);
};
const std::map<std::string, View>& views() {  // commands that only show, and may be watched
    static const std::map<std::string, View> all{
        {"status", {"/v1/status", show_status}},
        {"sites", {"/v1/sites", show_sites}},
        {"links", {"/v1/links", show_links}},
        {"datasets", {"/v1/datasets", show_datasets}},
        {"flows", {"/v1/flows", show_flows}},
        {"bundles", {"/v1/bundles", show_bundles}},
        {"rpo", {"/v1/rpo", show_rpo}},
        {"breaches", {"/v1/breaches", show_breaches}},
        {"datasets failures", {"/failures", show_failures}},
    };
    return all;
}

void print(const std::string& text) {
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
}

void print_result(const Arguments& arguments, const json& document, const std::string& words) {
    print(arguments.json ? document.dump() + "\n" : words);
}

RestClient connect(const Arguments& arguments) {
    auto url = parse_url(arguments.url);
    if (!url) throw Failure{Exit::usage, "--url " + url.error().text};
    if (url.value().tls)
        throw Failure{Exit::usage, "--url " + in_quotes(arguments.url) +
                                       ": REST is plain HTTP on loopback: write http://"};
    auto token = load_token(arguments.token_file);
    if (!token)
        throw Failure{Exit::usage, token.error().text + "; name it with --token-file or LONGHAUL_TOKEN_FILE"};
    return RestClient(std::move(url).value(), std::move(token).value());
}

void show_view(const Arguments& arguments, const View& view, const RestClient& client) {
    std::string path = view.path;
    if (!arguments.operands.empty()) path = "/v1/datasets/" + path_segment(arguments.operands[0]) + path;
    const bool clear = arguments.watch_s > 0 && !arguments.json && isatty(STDOUT_FILENO);
    for (;;) {
        std::string out;
        try {
            const json document = client.get(path);
            out = arguments.json ? document.dump() + "\n" : view.show(document);
        } catch (const Failure& failure) {
            if (arguments.watch_s == 0 || failure.exit != Exit::unreachable) throw;
            std::fprintf(stderr, "longhaul: %s\n", failure.text.c_str());  // it may come back: go on watching
        }
        print((clear ? "\033[H\033[J" : "") + out);
        if (arguments.watch_s == 0) return;
        std::this_thread::sleep_for(std::chrono::duration<double>(arguments.watch_s));
    }
}

void print_event(const Arguments& arguments, const json& event) {
    print(arguments.json ? event.dump() + "\n" : show_event(event));
}

// By the list or by the stream; a stream that breaks off is taken up again after the last event that was printed.
void show_events(const Arguments& arguments, const RestClient& client) {
    std::string since = arguments.option("since");
    const bool follows = arguments.has("follow");
    for (bool more = !follows || !since.empty(); more;) {
        const json list = client.get("/v1/events?since=" + (since.empty() ? "0" : path_segment(since)));
        for (const json& event : list.value("events", json::array())) {
            print_event(arguments, event);
            since = std::to_string(event.value("id", std::uint64_t{0}));
        }
        more = list.value("more", false);
    }
    while (follows) {
        try {
            client.follow("/v1/events", since, [&](const std::string& id, const json& event) {
                since = id;
                print_event(arguments, event);
            });
        } catch (const Failure& failure) {
            if (failure.exit != Exit::unreachable) throw;
            std::fprintf(stderr, "longhaul: %s\n", failure.text.c_str());
        }
        std::this_thread::sleep_for(std::chrono::seconds(1));
    }
}

json number_of(const Arguments& arguments, const char* option) {
    json number = json::parse(arguments.option(option), nullptr, false);
    if (!number.is_number())
        throw Failure{Exit::usage, "--" + std::string(option) + " " + in_quotes(arguments.option(option)) +
                                       " is not a number"};
    return number;
}

json dataset_body(const Arguments& arguments) {
    const std::string target = arguments.option("target");
    const std::size_t equals = target.find('=');
    if (equals == std::string::npos)
        throw Failure{Exit::usage, "--target " + in_quotes(target) +
                                       " is not SITE=STORE: write e.g. west=posix:/srv/replica/lake"};
    json body = {{"name", arguments.option("name")},
                 {"source", arguments.option("source")},
                 {"target", {{"site", target.substr(0, equals)}, {"store", target.substr(equals + 1)}}}};
    const auto pass_on = [&](const char* option, const char* field) {
        if (arguments.has(option)) body[field] = arguments.option(option);
    };
    pass_on("rpo", "rpo_target_s");
    pass_on("rescan", "rescan_s");
    pass_on("mode", "mode");
    pass_on("consistency", "consistency");
    pass_on("traffic", "traffic");
    pass_on("link", "link");
    pass_on("floor", "floor_bps");
    pass_on("cap", "cap_bps");
    pass_on("expect-change", "expect_change_bps");
    const auto pass_on_number = [&](const char* option, const char* field) {
        if (arguments.has(option)) body[field] = number_of(arguments, option);
    };
    pass_on_number("delete-hold-share", "delete_hold_share");
    pass_on_number("delete-hold-objects", "delete_hold_objects");
    pass_on_number("weight", "weight");
    pass_on_number("expect-burst", "expect_burst_bytes");
    return body;
}

void change_link(const Arguments& arguments, const RestClient& client) {
    json body = json::object();
    for (const char* option : {"rate", "mode", "goal", "fec"})
        if (arguments.has(option)) body[option] = arguments.option(option);
    if (arguments.has("share")) {
        const json share = json::parse(arguments.option("share"), nullptr, false);
        if (!share.is_number())
            throw Failure{Exit::usage, "--share " + in_quotes(arguments.option("share")) +
                                           " is not a number: write e.g. 0.99"};
        body["share"] = share;
    }
    const std::map<std::string, const char*> lists{
        {"window", "windows"}, {"maintenance", "maintenance"}, {"blackout", "blackouts"}};
    for (const auto& [option, field] : lists) {
        const auto given = arguments.options.find(option);
        if (given == arguments.options.end()) continue;
        body[field] = json::array();
        for (const std::string& text : given->second)
            if (!text.empty()) body[field].push_back(text);
    }
    if (body.empty())
        throw Failure{Exit::usage,
                      "\"links set\" changes nothing: give --rate, --share, --mode, --goal, --fec, --window, "
                      "--maintenance or --blackout"};
    const json document = client.patch("/v1/links/" + path_segment(arguments.operands.at(0)), body);
    print_result(arguments, document, show_link_change(document));
}

std::int64_t wall_now() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

void change_dataset(const Arguments& arguments, const RestClient& client) {
    json body = json::object();
    if (arguments.has("link")) body["link"] = arguments.option("link");
    if (arguments.has("floor")) body["floor_bps"] = arguments.option("floor");
    if (arguments.has("cap")) body["cap_bps"] = arguments.option("cap");
    if (arguments.has("weight")) body["weight"] = number_of(arguments, "weight");
    if (body.empty())
        throw Failure{
            Exit::usage,
            "\"datasets set\" changes nothing: give --link (empty: the scheduler chooses), --floor, "
            "--cap or --weight"};
    const std::string& name = arguments.operands.at(0);
    const json document = client.patch("/v1/datasets/" + path_segment(name), body);
    print_result(arguments, document,
                 show_lines(document, "warnings", "warning: ") + "changed " + name + "\n");
}

void verify(const Arguments& arguments, const RestClient& client) {
    constexpr std::chrono::seconds kLookEvery{1};
    const std::string& name = arguments.operands.at(0);
    const std::string path = "/v1/datasets/" + path_segment(name) + "/verify";
    json document = arguments.has("status") ? client.get(path) : client.post(path, json::object());
    while (arguments.has("wait") && document.at("state") == "running") {
        std::this_thread::sleep_for(kLookEvery);
        document = client.get(path);
    }
    print_result(arguments, document, show_verification(name, document));
    const bool failed = document.at("differing") != 0 || document.at("missing") != 0;
    if (arguments.has("wait") && failed)
        throw Failure{Exit::refused,
                      "the target differed from the source: longhaul events names the objects; they "
                      "are sent again"};
}

void make_certificates(const Arguments& arguments) {
    const std::string directory = arguments.option("directory");
    const auto list = [&](const char* option) {
        const auto found = arguments.options.find(option);
        return found == arguments.options.end() ? std::vector<std::string>{} : found->second;
    };
    const auto files = arguments.command == "pki init"
                           ? pki::init(directory, arguments.option("name"))
                           : pki::issue(directory, {arguments.option("site"), list("dns"), list("ip")});
    if (!files) throw Failure{Exit::refused, files.error().text};
    print_result(arguments, {{"certificate", files.value().certificate}, {"key", files.value().key}},
                 "made " + files.value().certificate + " and " + files.value().key + "\n");
}

void run(const Arguments& arguments) {
    if (arguments.command.starts_with("pki ")) return make_certificates(arguments);
    const RestClient client = connect(arguments);
    if (const auto view = views().find(arguments.command); view != views().end())
        return show_view(arguments, view->second, client);
    if (arguments.watch_s > 0)
        throw Failure{Exit::usage, "--watch only goes with commands that show something"};
    if (arguments.command == "events") return show_events(arguments, client);
    if (arguments.command == "links set") return change_link(arguments, client);
    if (arguments.command == "links impact") {
        const std::string window =
            arguments.has("for") ? "?window=" + path_segment(arguments.option("for")) : "";
        const json document =
            client.get("/v1/links/" + path_segment(arguments.operands.at(0)) + "/impact" + window);
        return print_result(arguments, document, show_impact(document));
    }
    if (arguments.command == "datasets plan") {
        const json document = client.post("/v1/plan", dataset_body(arguments));
        return print_result(arguments, document, show_plan(document));
    }
    if (arguments.command == "datasets set") return change_dataset(arguments, client);
    if (arguments.command == "datasets create") {
        const json document = client.post("/v1/datasets", dataset_body(arguments));
        return print_result(arguments, document,
                            show_lines(document, "warnings", "warning: ") + "created " +
                                arguments.option("name") + "; watch it with longhaul rpo --watch\n");
    }
    const std::string& name = arguments.operands.at(0);
    const std::string path = "/v1/datasets/" + path_segment(name);
    if (arguments.command == "datasets remove") {
        client.remove(path);
        return print_result(arguments, {{"removed", name}}, "removed " + name + "; the replica stays\n");
    }
    if (arguments.command == "datasets release-deletes") {
        const json document = client.post(path + "/release-deletes", json::object());
        return print_result(arguments, document,
                            "released " + document.at("released").dump() + " held deletes of " + name + "\n");
    }
    if (arguments.command == "verify") return verify(arguments, client);
    if (arguments.command == "wait") {
        const std::string since = arguments.option("min-watermark", rfc3339(wall_now()));
        const json document = client.get(path + "/wait?min_watermark=" + path_segment(since) +
                                         "&timeout=" + path_segment(arguments.option("timeout", "10s")));
        return print_result(arguments, document,
                            name + " is published up to " + document.at("w_pub").get<std::string>() + "\n");
    }
    LH_ASSERT(arguments.command == "datasets rescan");
    print_result(arguments, client.post(path + "/rescan", json::object()),
                 "rescan of " + name + " started\n");
}

}  // namespace
}  // namespace longhaul::control::cli

int main(int argc, char** argv) {
    using namespace longhaul::control::cli;
    const auto arguments = parse_arguments(argc, argv);
    if (!arguments) {
        std::fprintf(stderr, "longhaul: %s\n", arguments.error().text.c_str());
        return static_cast<int>(Exit::usage);
    }
    if (!arguments.value().output.empty()) {
        std::fputs(arguments.value().output.c_str(), stdout);
        return 0;
    }
    try {
        run(arguments.value());
        return 0;
    } catch (const Failure& failure) {
        std::fprintf(stderr, "longhaul: %s\n", failure.text.c_str());
        return static_cast<int>(failure.exit);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "longhaul: %s\n", error.what());
        return static_cast<int>(Exit::refused);
    }
}
