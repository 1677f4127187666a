// The routes of the node: what there is, how it does, what may be changed.
// SPDX-License-Identifier: Apache-2.0
#include "control/api/api_server.h"

#include <map>

#include "control/api/metrics.h"
#include "control/api/token.h"
#include "control/api/views.h"
#include "control/http/body.h"
#include "control/http/dataset_body.h"
#include "control/http/refusal.h"

namespace longhaul::control {

using nlohmann::json;

namespace {

WallNs wall_now() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

// {"links": [...]}: an object, so that fields can be added beside the list.
template <typename View>
Reply list_reply(const char* name, const std::vector<View>& views, json (*document)(const View&)) {
    json list = json::array();
    for (const View& view : views)
        list.push_back(document(view));
    return json_reply({{name, std::move(list)}});
}

Reply refusal(const Error& error) {
    return problem_reply(problem_of(error));
}

// A list of a link's calendar; an empty one clears it.
template <typename Entry>
void read_entries(BodyReader& body, const char* field, Result<Entry> (*parse)(std::string_view),
                  std::optional<std::vector<Entry>>& out) {
    if (!body.has(field)) return;
    out.emplace();
    for (const std::string& text : body.texts(field)) {
        auto entry = parse(text);
        if (!entry) body.refuse(field, entry.error().text);
        if (entry) out->push_back(std::move(entry).value());
    }
    if (out->size() > kCalendarEntriesMax)
        body.refuse(field, "has more than " + std::to_string(kCalendarEntriesMax) + " entries");
}

Problem unauthorized() {
    return {401,
            "Token required",
            "send the header \"Authorization: Bearer TOKEN\"; TOKEN stands in token_file (default: "
            "state_directory/token)",
            "unauthorized",
            {}};
}

}  // namespace

ApiServer::ApiServer(ApiContext context, std::string token)
    : context_(std::move(context)),
      token_(std::move(token)),
      started_at_(wall_now()),
      watch_(context_.core),
      events_(context_.core),
      barrier_(context_.core),
      server_(
          std::make_unique<httplib::Server>(),
          [this](Call& call) -> std::optional<Problem> {
              if (token_matches(call.request.get_header_value("Authorization"), token_)) return std::nullopt;
              return unauthorized();
          },
          HttpServer::kThreads + EventStreams::kClientsMax + FreshnessBarrier::kWaitersMax) {
    install_node_routes();
    install_link_routes();
    install_dataset_routes();
}

Result<std::uint16_t> ApiServer::start(const Endpoint& endpoint) {
    if (!is_loopback(endpoint.host))
        return Error{ErrorCode::invalid_argument,
                     "rest_listen " + to_string(endpoint) +
                         " is not a loopback address, and REST is not encrypted: listen on "
                         "127.0.0.1 and reach it through an SSH tunnel or a TLS proxy"};
    watch_.start();
    barrier_.start();
    return server_.start(endpoint);
}

void ApiServer::stop() {
    events_.stop();
    barrier_.stop();  // or the server would wait for those who wait
    server_.stop();
    watch_.stop();
}

void ApiServer::install_node_routes() {
    using Access = HttpServer::Access;
    server_.add(
        "GET", "/healthz", [this](const Call&) { return health(); }, Access::open);
    server_.add(
        "GET", "/openapi.json",
        [](const Call&) {
            return Reply{200, std::string(openapi_document()), "application/json", {}};
        },
        Access::open);
    server_.add("GET", "/metrics", [this](const Call&) { return metrics(); });
    server_.add("GET", "/v1/status", [this](const Call&) { return status(); });
    server_.add("GET", "/v1/sites", [this](const Call&) {
        json sites = json::array({own_site_document(context_.config.site)});
        const auto clocks = context_.core.peer_clocks();
        for (const PeerClient* peer : context_.peers)
            sites.push_back(site_document(peer->site(), peer->reachability(), clocks));
        return json_reply({{"sites", std::move(sites)}});
    });
    server_.add("GET", "/v1/flows",
                [this](const Call&) { return list_reply("flows", context_.core.flows(), flow_document); });
    server_.add("GET", "/v1/bundles", [this](const Call&) {
        return list_reply("bundles", context_.core.bundles(), bundle_document);
    });
    server_.add("GET", "/v1/events", [this](const Call& call) { return events_.answer(call); });
    server_.add("GET", "/v1/breaches", [this](const Call&) {
        return list_reply("breaches", context_.core.breaches(), breach_document);
    });
    server_.add("GET", "/v1/rpo",
                [this](const Call&) { return list_reply("rpo", context_.core.rpo(), rpo_document); });
}

void ApiServer::install_link_routes() {
    server_.add("GET", "/v1/links",
                [this](const Call&) { return list_reply("links", context_.links.views(), link_document); });
    server_.add("GET", "/v1/links/{name}", [this](const Call& call) {
        const auto view = context_.links.view(call.arguments.at(0));
        if (view) return json_reply(link_document(*view));
        return refusal(
            context_.links.change(call.arguments.at(0), {}).error());  // the text that suggests a name
    });
    server_.add("GET", "/v1/links/{name}/impact", [this](const Call& call) { return link_impact(call); });
    server_.add("PATCH", "/v1/links/{name}", [this](const Call& call) { return change_link(call); });
}

void ApiServer::install_dataset_routes() {
    Core& core = context_.core;
    server_.add("GET", "/v1/datasets", [&core](const Call&) {
        return list_reply("datasets", core.datasets(), dataset_view_document);
    });
    server_.add("POST", "/v1/datasets", [this](const Call& call) { return create_dataset(call); });
    server_.add("POST", "/v1/plan", [this](const Call& call) { return plan_dataset(call); });
    server_.add("GET", "/v1/datasets/{name}", [&core](const Call& call) {
        const auto view = core.dataset(call.arguments.at(0));
        return view ? json_reply(dataset_view_document(view.value())) : refusal(view.error());
    });
    server_.add("DELETE", "/v1/datasets/{name}", [&core](const Call& call) {
        const auto result = core.dataset_remove(call.arguments.at(0));
        return result ? no_content() : refusal(result.error());
    });
    server_.add("PATCH", "/v1/datasets/{name}", [this](const Call& call) { return change_dataset(call); });
    server_.add("POST", "/v1/datasets/{name}/rescan", [&core](const Call& call) {
        const auto result = core.dataset_rescan(call.arguments.at(0));
        return result ? json_reply({{"dataset", call.arguments.at(0)}, {"rescan", "started"}}, 202)
                      : refusal(result.error());
    });
    server_.add("POST", "/v1/datasets/{name}/verify", [&core](const Call& call) {
        const auto view = core.dataset_verify(call.arguments.at(0));
        return view ? json_reply(verify_document(view.value().verify), 202) : refusal(view.error());
    });
    server_.add("GET", "/v1/datasets/{name}/verify", [&core](const Call& call) {
        const auto view = core.dataset(call.arguments.at(0));
        return view ? json_reply(verify_document(view.value().verify)) : refusal(view.error());
    });
    server_.add("POST", "/v1/datasets/{name}/release-deletes", [&core](const Call& call) {
        const auto released = core.dataset_release_deletes(call.arguments.at(0));
        return released ? json_reply({{"dataset", call.arguments.at(0)}, {"released", released.value()}}, 202)
                        : refusal(released.error());
    });
    server_.add("GET", "/v1/datasets/{name}/failures",
                [this](const Call& call) { return failures(call.arguments.at(0)); });
    server_.add("GET", "/v1/datasets/{name}/wait", [this](const Call& call) { return wait(call); });
}

Reply ApiServer::health() const {
    const bool core_alive = watch_.alive();
    const bool dataplane_up = context_.dataplane.up();
    if (core_alive && dataplane_up)
        return json_reply({{"status", "ok"}, {"core", "ok"}, {"dataplane", "ok"}});
    std::string detail;
    if (!core_alive)
        detail = "the core has not answered for 5 s: see the log of longhaul-control, restart it";
    if (!dataplane_up) detail += (detail.empty() ? "" : "; ") + context_.dataplane.down_reason();
    return problem_reply({503, "Not healthy", detail, core_alive ? "dataplane_down" : "core_stuck", {}});
}

Reply ApiServer::metrics() const {
    MetricsInput input;
    input.site = context_.config.site;
    input.version = LONGHAUL_VERSION;
    input.dataplane_up = context_.dataplane.up();
    for (const PeerClient* peer : context_.peers)
        input.peers.emplace_back(peer->site().name, peer->reachability().reachable);
    input.links = context_.links.views();
    input.rpo = context_.core.rpo();
    input.datasets = context_.core.datasets();
    input.flows = context_.core.flows();
    input.stats = context_.core.stats();
    input.events = context_.core.last_event();
    input.clocks = context_.core.peer_clocks();
    if (context_.webhook != nullptr) input.webhook = context_.webhook->counters();
    return Reply{200, metrics_text(input), "text/plain; version=0.0.4; charset=utf-8", {}};
}

Reply ApiServer::status() const {
    const DataplaneHello hello = context_.dataplane.hello();
    const bool dataplane_up = context_.dataplane.up();
    const auto links = context_.links.views();
    std::map<std::string, unsigned> states;
    const auto rpo = context_.core.rpo();
    const RpoView* worst = nullptr;
    for (const RpoView& view : rpo) {
        ++states[view.state];
        if (view.rpo_lag_s && (!worst || *view.rpo_lag_s > *worst->rpo_lag_s)) worst = &view;
    }
    const auto up = std::count_if(links.begin(), links.end(), [](const LinkView& link) { return link.up(); });
    return json_reply(
        {{"site", context_.config.site},
         {"version", LONGHAUL_VERSION},
         {"started_at", rfc3339(started_at_)},
         {"uptime_s", static_cast<double>(wall_now() - started_at_) / 1e9},
         {"core", {{"alive", watch_.alive()}, {"since_start", stats_document(context_.core.stats())}}},
         {"dataplane",
          {{"up", dataplane_up},
           {"boot_id", dataplane_up ? json(hello.boot_id) : json()},
           {"version", dataplane_up ? json(hello.version) : json()},
           {"pid", dataplane_up ? json(hello.pid) : json()},
           {"reason", dataplane_up ? json() : json(context_.dataplane.down_reason())}}},
         {"links", {{"total", links.size()}, {"up", up}}},
         {"rpo",
          {{"total", rpo.size()},
           {"states", states},
           {"worst",
            worst ? json{{"dataset", worst->dataset}, {"site", worst->site}, {"rpo_lag_s", *worst->rpo_lag_s}}
                  : json()}}}});
}

Reply ApiServer::change_link(const Call& call) {
    auto parsed = parse_body(call.request.body);
    if (const auto* problem = std::get_if<Problem>(&parsed)) return problem_reply(*problem);
    std::vector<FieldProblem> problems;
    BodyReader body(std::get<json>(parsed), problems);
    LinkChange change;
    if (body.has("rate")) {
        if (auto rate = parse_rate_bps(body.text("rate")))
            change.rate_bps = rate.value();
        else
            body.refuse("rate", rate.error().text);
    }
    if (body.has("share")) change.share = body.number("share", 1, command::kShareMin, command::kShareMax);
    if (body.has("mode")) {
        change.mode = body.text("mode");
        if (auto result = check_mode(*change.mode); !result) body.refuse("mode", result.error().text);
    }
    if (body.has("goal")) {
        change.goal = body.text("goal");
        if (auto result = check_goal(*change.goal); !result) body.refuse("goal", result.error().text);
    }
    if (body.has("fec")) {
        if (auto fec = parse_fec(body.text("fec")))
            change.fixed_parity = fec.value();
        else
            body.refuse("fec", fec.error().text);
    }
    read_entries(body, "windows", parse_week_window, change.windows);
    read_entries(body, "maintenance", parse_maintenance, change.maintenance);
    read_entries(body, "blackouts", parse_blackout, change.blackouts);
    body.finish();
    if (problems.empty() && !change.of_settings() && !change.of_calendar())
        body.refuse("",
                    "changes nothing: give rate, share, mode, goal, fec, windows, maintenance or blackouts");
    if (!problems.empty()) return problem_reply(field_problem(std::move(problems)));

    const std::string& name = call.arguments.at(0);
    const auto before = context_.links.view(name);
    const auto settings = context_.links.change(name, change);
    if (!settings) return refusal(settings.error());
    if (!change.of_settings()) return json_reply(link_document(*context_.links.view(name)));
    const auto applied = context_.dataplane.link_add(settings.value());
    if (!applied && applied.error().code != ErrorCode::unavailable) {  // unavailable: stated when it is back
        (void)context_.links.change(
            name, {before->settings.rate_bps, before->settings.share, before->settings.mode,
                   before->settings.goal, before->settings.fixed_parity, before->calendar.windows,
                   before->calendar.maintenance, before->calendar.blackouts});
        return refusal(applied.error());
    }
    return json_reply(link_document(*context_.links.view(name)));
}

Reply ApiServer::create_dataset(const Call& call) {
    auto parsed = parse_body(call.request.body);
    if (const auto* problem = std::get_if<Problem>(&parsed)) return problem_reply(*problem);
    const auto spec = dataset_spec_from(std::get<json>(parsed));
    if (const auto* problem = std::get_if<Problem>(&spec)) return problem_reply(*problem);
    const auto view = context_.core.dataset_create(std::get<DatasetSpec>(spec));
    if (!view) {
        context_.core.note(
            policy_refused("rest:" + call.request.remote_addr, std::get<DatasetSpec>(spec), view.error()));
        return refusal(view.error());
    }
    Reply reply = json_reply(dataset_view_document(view.value()), 201);
    reply.headers["Location"] = "/v1/datasets/" + view.value().spec.name;
    return reply;
}

Reply ApiServer::change_dataset(const Call& call) {
    auto parsed = parse_body(call.request.body);
    if (const auto* problem = std::get_if<Problem>(&parsed)) return problem_reply(*problem);
    const auto change = dataset_change_from(std::get<json>(parsed));
    if (const auto* problem = std::get_if<Problem>(&change)) return problem_reply(*problem);
    const std::string& name = call.arguments.at(0);
    const auto view = context_.core.dataset_change(name, std::get<DatasetChange>(change));
    if (view) return json_reply(dataset_view_document(view.value()));
    if (const auto known = context_.core.dataset(name))
        context_.core.note(
            policy_refused("rest:" + call.request.remote_addr, known.value().spec, view.error()));
    return refusal(view.error());
}

// Everything that creating it would check, and nothing is changed; the target is not asked.
Reply ApiServer::plan_dataset(const Call& call) {
    auto parsed = parse_body(call.request.body);
    if (const auto* problem = std::get_if<Problem>(&parsed)) return problem_reply(*problem);
    const auto spec = dataset_spec_from(std::get<json>(parsed));
    if (const auto* problem = std::get_if<Problem>(&spec)) return problem_reply(*problem);
    const auto plan = context_.core.dataset_plan(std::get<DatasetSpec>(spec));
    return plan ? json_reply(plan_document(plan.value())) : refusal(plan.error());
}

Reply ApiServer::link_impact(const Call& call) const {
    const std::string& name = call.arguments.at(0);
    if (!context_.links.view(name)) return refusal(context_.links.change(name, {}).error());
    double window_s = 0;
    if (call.request.has_param("window")) {
        const auto window = parse_duration_s(call.request.get_param_value("window"));
        if (!window) return problem_reply(field_problem({{"window", window.error().text}}));
        window_s = window.value();
    }
    const auto impact = context_.core.link_impact(name, window_s);
    return impact ? json_reply(impact_document(impact.value())) : refusal(impact.error());
}

Reply ApiServer::wait(const Call& call) {
    std::vector<FieldProblem> problems;
    WallNs min_watermark = 0;
    double timeout_s = 10;
    for (const auto& [name, value] : call.request.params) {
        if (name == "min_watermark") {
            const auto time = parse_source_time(value);
            if (time)
                min_watermark = time.value();
            else
                problems.push_back({name, time.error().text});
        } else if (name == "timeout") {
            const auto seconds = parse_duration_s(value);
            if (seconds && seconds.value() >= 0 && seconds.value() <= FreshnessBarrier::kTimeoutMax_s)
                timeout_s = seconds.value();
            else
                problems.push_back({name, "must be a duration from 0 to 60 s"});
        } else {
            problems.push_back({name, "is not known: there are min_watermark and timeout"});
        }
    }
    if (!call.request.has_param("min_watermark"))
        problems.push_back({"min_watermark", "is required: the source time that must be published"});
    if (!problems.empty()) return problem_reply(field_problem(std::move(problems)));
    return barrier_.wait(call.arguments.at(0), min_watermark, timeout_s);
}

Reply ApiServer::failures(const std::string& dataset) const {
    const auto failures = context_.core.failures(dataset);
    if (failures.empty())  // an empty list, unless there is no such dataset
        if (const auto view = context_.core.dataset(dataset); !view) return refusal(view.error());
    return list_reply("failures", failures, failure_document);
}

}  // namespace longhaul::control
