// One running edge with a fake core and a fake dataplane behind it, and an HTTP client in front: what the
// tests of REST and of the CLI start from.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <httplib.h>

#include <memory>
#include <string>

#include "control/api/token.h"
#include "control/edge.h"
#include "tests/unit/control_edge/support.h"

namespace longhaul::control::test {

class Node {
  public:
    Node() {
        make_certificates(directory.path());
        config.pki = pki_of(directory.path(), "east");
        config.sites = {{"west", "https://127.0.0.1:" + std::to_string(nobody_.port())}};
        config.links = {sample_link("west", "10.77.0.1", "10.77.0.2")};
        dataplane = std::make_unique<FakeDataplane>(config.dataplane_socket);
        dataplane->start();
        edge = std::make_unique<Edge>(config);
        const auto started = edge->start(core);
        EXPECT_TRUE(started.ok()) << started.error().text;
        EXPECT_TRUE(eventually([&] { return core.ups_seen() == 1; }));
        token = load_token(config.token_file).value();
    }

    httplib::Client client(bool with_token = true) const {
        httplib::Client out("127.0.0.1", edge->rest_port());
        if (with_token) out.set_default_headers({{"Authorization", "Bearer " + token}});
        return out;
    }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(edge->rest_port()); }

    TempDir directory;
    ControlConfig config = sample_config(directory, "east");
    FakeCore core;
    std::unique_ptr<FakeDataplane> dataplane;
    std::unique_ptr<Edge> edge;
    std::string token;

  private:
    ReservedPort nobody_;  // where west would be
};

// One of everything, so that no list that a test looks at is empty.
inline void fill(FakeCore& core) {
    const std::lock_guard lock(core.mutex);
    core.views["lake"] = sample_dataset("lake");
    RpoView seeding = sample_dataset("lake").rpo;
    RpoView proven = seeding;
    proven.dataset = "hot";
    proven.state = "PROTECTED";
    proven.quality = "proven";
    proven.rpo_lag_s = 4.5;
    proven.durable_lag_s = 3.25;
    proven.rpo_target_s = 60;
    proven.within_target = true;
    proven.watermarks = {1'795'356'629'123'456'789, 1'795'356'628'500'000'000, 1'795'356'628'000'000'000,
                         1'795'356'627'000'000'000};
    proven.now_src = 1'795'356'630'000'000'000;
    proven.slo.hour = {59, 1, 0, 59.0 / 60, 10, 1, 1000, 100, 0.9, 70};
    proven.computed_at = 1'795'356'630'000'000'000;
    proven.objects_total = 5000;
    proven.bytes_total = 1u << 30;
    proven.objects_behind = 3;
    proven.eta_s = 1.5;
    core.rpo_views = {seeding, proven};
    core.bundle_views = {{"0123456789abcdef0123456789abcdef", "lake", "east-west-1", "durable", 1, 1 << 20,
                          17, 1'795'356'629'000'000'000}};
    core.breach_views = {{1,
                          "source/hot",
                          "hot",
                          "west",
                          "source",
                          1'795'356'629'000'000'000,
                          {},
                          60,
                          75,
                          "transfer",
                          "link east-west-1 is not up"}};
    core.clock_views = {{"west", 0.25, 0.01, 1'795'356'629'000'000'000, ""}};
    Event event;
    event.id = 7;
    event.at = 1'795'356'629'000'000'000;
    event.kind = "BREACH";
    event.dataset = "hot";
    event.text = "lag 75.0 s, target 60.0 s";
    event.lag_s = 75;
    core.log.append(event);
    core.failure_views = {{"lake", "odd\\xFFname", "source_permission", "let longhaul read it",
                           1'795'356'629'000'000'000, 1'795'356'630'000'000'000, 3}};
    core.flow_views = {{"lake", "west", "east-west-1", "bulk", 500'000'000, 480'000'000, 12}};
}

}  // namespace longhaul::control::test
