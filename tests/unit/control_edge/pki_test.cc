// Proves that the certificates of `longhaul pki` let exactly the configured sites in, both ways, whatever CA
// the environment names.
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <httplib.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "control/peer/link_sessions.h"
#include "control/peer/peer_client.h"
#include "control/peer/peer_server.h"
#include "control/peer/pki.h"
#include "control/peer/tls.h"
#include "tests/unit/control_edge/support.h"

namespace longhaul::control::test {
namespace {

using ::testing::HasSubstr;

class NoDataplane : public DataplaneListener {
  public:
    std::vector<command::LinkSettings> configured_links() override { return {}; }
    void on_link_refused(std::uint8_t, const Error&) override {}
    void on_up(const DataplaneHello&, const command::StatusReport&) override {}
    void on_down(const std::string&, bool) override {}
    void on_bundle(const command::BundleEvent&) override {}
    void on_mark(std::uint64_t, std::int64_t) override {}
    void on_order(const command::OrderEvent&) override {}
    void on_link(const command::LinkStatus&) override {}
};

// West's peer server, with east as its only other site.
class PeerTest : public ::testing::Test {
  protected:
    void SetUp() override {
        make_certificates(directory_.path());
        config_ = sample_config(directory_, "west");
        config_.pki = pki_of(directory_.path(), "west");
        config_.sites = {{"east", "https://127.0.0.1:1"}};
        server_ = std::make_unique<PeerServer>(config_, sessions_, core_);
        const auto port = server_->start({"127.0.0.1", 0});
        ASSERT_TRUE(port.ok()) << port.error().text;
        url_ = "https://127.0.0.1:" + std::to_string(port.value());
    }

    Result<PeerStatus> ask(const PkiConfig& pki, const std::string& expected_site) {
        PeerClient client(pki, {expected_site, url_});
        return client.status();
    }

    TempDir directory_;
    ControlConfig config_;
    FakeCore core_;
    NoDataplane listener_;
    LinkBook book_{"west", {}};
    DataplaneClient dataplane_{directory_ / "none.sock", "test", listener_};
    LinkSessions sessions_{"west", book_, dataplane_};
    std::unique_ptr<PeerServer> server_;
    std::string url_;
};

// Key files are the owner's only, certificates name the site, and nothing is overwritten.
TEST(Pki, MakesFilesOnceAndPrivately) {
    TempDir directory;
    make_certificates(directory.path());
    for (const char* name : {"ca.key", "east.key"}) {
        struct stat status {};
        ASSERT_EQ(stat((directory / name).c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0777, 0600u) << name;
    }
    EXPECT_TRUE(tls::check_files(pki_of(directory.path(), "east"), "east").ok());
    EXPECT_EQ(pki::init(directory.path(), "again").error().code, ErrorCode::already_exists);
    EXPECT_EQ(pki::issue(directory.path(), {"east", {}, {}}).error().code, ErrorCode::already_exists);
    for (const char* wrong : {"", "../up", "UP", "a,URI:site:b", "ca"})
        EXPECT_FALSE(pki::issue(directory.path(), {wrong, {}, {}}).ok()) << wrong;
    EXPECT_FALSE(pki::issue(directory.path(), {"north", {"a,URI:site:b"}, {}}).ok());
    EXPECT_FALSE(pki::issue(directory.path(), {"north", {}, {"300.1.1.1"}}).ok());
    EXPECT_THAT(pki::issue(directory / "elsewhere", {"north", {}, {}}).error().text,
                HasSubstr("longhaul pki init"));
}

// At start, files that do not fit are named together with the remedy.
TEST(Pki, ChecksFilesAtStart) {
    TempDir directory;
    make_certificates(directory.path());
    EXPECT_THAT(tls::check_files(pki_of(directory.path(), "east"), "west").error().text,
                HasSubstr("pki issue --site west"));
    PkiConfig mixed = pki_of(directory.path(), "east");
    mixed.key = directory / "west.key";
    EXPECT_THAT(tls::check_files(mixed, "east").error().text, HasSubstr("does not belong"));
    TempDir other;
    make_certificates(other.path());
    PkiConfig foreign = pki_of(directory.path(), "east");
    foreign.ca = other / "ca.pem";
    EXPECT_THAT(tls::check_files(foreign, "east").error().text, HasSubstr("does not verify"));
}

// The right certificate gets in, though the environment names another CA bundle.
TEST_F(PeerTest, LetsAConfiguredSiteIn) {
    setenv("SSL_CERT_FILE", "/nonexistent", 1);
    const auto status = ask(pki_of(directory_.path(), "east"), "west");
    ASSERT_TRUE(status.ok()) << status.error().text;
    EXPECT_EQ(status.value().site, "west");
    EXPECT_TRUE(status.value().boot_id.empty());
    EXPECT_THAT(status.value().dataplane_reason, HasSubstr("not connected"));
}

// Without a client certificate there is no answer at all, and TLS 1.2 is not spoken.
TEST_F(PeerTest, RefusesStrangers) {
    const Url url = parse_url(url_).value();
    httplib::SSLClient bare(url.endpoint.host, url.endpoint.port);
    bare.enable_server_certificate_verification(false);
    EXPECT_FALSE(bare.Get("/peer/v1/status"));

    httplib::SSLClient old(url.endpoint.host, url.endpoint.port, directory_ / "east.pem",
                           directory_ / "east.key");
    old.enable_server_certificate_verification(false);
    SSL_CTX_set_max_proto_version(old.ssl_context(), TLS1_2_VERSION);
    EXPECT_FALSE(old.Get("/peer/v1/status"));
}

// A certificate of another authority is no certificate.
TEST_F(PeerTest, RefusesAForeignAuthority) {
    TempDir other;
    make_certificates(other.path());
    PkiConfig foreign = pki_of(other.path(), "east");
    foreign.ca = directory_ / "ca.pem";  // it trusts us, we do not trust it
    EXPECT_EQ(ask(foreign, "west").error().code, ErrorCode::unavailable);
    PkiConfig distrustful = pki_of(directory_.path(), "east");
    distrustful.ca = other / "ca.pem";  // the reverse
    EXPECT_THAT(ask(distrustful, "west").error().text, HasSubstr("TLS failed"));
}

// A site that is signed but not configured is told so; a server that is not who was meant is never spoken to.
TEST_F(PeerTest, RefusesTheWrongSite) {
    ASSERT_TRUE(pki::issue(directory_.path(), {"north", {}, {}}).ok());
    const auto north = ask(pki_of(directory_.path(), "north"), "west");
    ASSERT_FALSE(north.ok());
    EXPECT_EQ(north.error().code, ErrorCode::permission_denied);
    EXPECT_THAT(north.error().text, HasSubstr("site:north"));
    const auto mistaken = ask(pki_of(directory_.path(), "east"), "north");
    ASSERT_FALSE(mistaken.ok());
    EXPECT_THAT(mistaken.error().text, HasSubstr("TLS failed"));
}

// Datasets travel whole, 64-bit store numbers exactly, and the target's refusal arrives in its own words.
TEST_F(PeerTest, CarriesDatasets) {
    PeerClient client(pki_of(directory_.path(), "east"), {"west", url_});
    DatasetSpec spec = sample_dataset("lake").spec;
    spec.mode = Mode::copy;
    spec.rescan_s = 2.5;
    const auto accepted = client.accept_dataset(spec);
    ASSERT_TRUE(accepted.ok()) << accepted.error().text;
    EXPECT_EQ(accepted.value().store, 17'000'000'000'000'000'001u);
    EXPECT_EQ(core_.accepted.at(0).first, "east");
    EXPECT_EQ(core_.accepted.at(0).second.mode, Mode::copy);
    EXPECT_EQ(core_.accepted.at(0).second.rescan_s, 2.5);
    EXPECT_EQ(core_.accepted.at(0).second.target.store, spec.target.store);

    spec.target.store = "posix:/etc/x";
    const auto refused = client.accept_dataset(spec);
    EXPECT_EQ(refused.error().code, ErrorCode::permission_denied);
    EXPECT_THAT(refused.error().text, HasSubstr("allowed_roots"));
    ASSERT_TRUE(client.release_dataset("lake", 17'000'000'000'000'000'001u).ok());
    EXPECT_EQ(core_.released.at(0), std::tuple("east", "lake", 17'000'000'000'000'000'001u));
}

// A caller that does not exist is unavailable, with the reason shown as the site's reachability.
TEST_F(PeerTest, SaysWhyAPeerIsUnreachable) {
    const ReservedPort nobody;
    PeerClient client(pki_of(directory_.path(), "east"),
                      {"west", "https://127.0.0.1:" + std::to_string(nobody.port())});
    EXPECT_EQ(client.status().error().code, ErrorCode::unavailable);
    EXPECT_FALSE(client.reachability().reachable);
    EXPECT_THAT(client.reachability().reason, HasSubstr("peer_url"));
}

}  // namespace
}  // namespace longhaul::control::test
