// Fakes and helpers of control's edge tests.
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control_edge/support.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "control/peer/pki.h"

namespace longhaul::control::test {

using nlohmann::json;

TempDir::TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "longhaul-edge-XXXXXX").string();
    LH_ASSERT(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
}

TempDir::~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

bool eventually(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
}

ReservedPort::ReservedPort() {
    socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int yes = 1;
    setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    LH_ASSERT(bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    socklen_t size = sizeof address;
    LH_ASSERT(getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
}

ReservedPort::~ReservedPort() {
    close(socket_);
}

// ---- FakeCore
// --------------------------------------------------------------------------------------------------------

DatasetView sample_dataset(const std::string& name) {
    DatasetView view;
    view.spec.name = name;
    view.spec.source = "posix:/lake";
    view.spec.target = {"west", "posix:/srv/replica/lake"};
    view.rpo.dataset = name;
    view.rpo.site = "west";
    view.rpo.role = "source";
    view.rpo.state = "SEEDING";
    view.rpo.quality = "unknown";
    view.target_store = 18'000'000'000'000'000'000u;
    return view;
}

Result<DatasetView> FakeCore::dataset_create(const DatasetSpec& spec) {
    const std::lock_guard lock(mutex);
    if (views.contains(spec.name))
        return Error{ErrorCode::already_exists, "a dataset " + spec.name + " exists: choose another name"};
    DatasetView view = sample_dataset(spec.name);
    view.spec = spec;
    return views[spec.name] = view;
}
Result<void> FakeCore::dataset_remove(const std::string& name) {
    const std::lock_guard lock(mutex);
    if (views.erase(name)) return {};
    return Error{ErrorCode::not_found, "there is no dataset " + name};
}
Result<DatasetView> FakeCore::dataset(const std::string& name) {
    const std::lock_guard lock(mutex);
    if (views.contains(name)) return views[name];
    return Error{ErrorCode::not_found, "there is no dataset " + name};
}
std::vector<DatasetView> FakeCore::datasets() {
    const std::lock_guard lock(mutex);
    std::vector<DatasetView> out;
    for (const auto& [name, view] : views)
        out.push_back(view);
    return out;
}
Result<DatasetView> FakeCore::dataset_change(const std::string& name, const DatasetChange& change) {
    const std::lock_guard lock(mutex);
    const auto found = views.find(name);
    if (found == views.end()) return Error{ErrorCode::not_found, "there is no dataset " + name};
    if (change.floor_bps.value_or(0) > 10'000'000'000)
        return Error{ErrorCode::invalid_argument, "needs 14.2 Gbit/s: lower the floor"};
    auto& spec = found->second.spec;
    spec.link = change.link.value_or(spec.link);
    spec.floor_bps = change.floor_bps.value_or(spec.floor_bps);
    spec.cap_bps = change.cap_bps.value_or(spec.cap_bps);
    spec.weight = change.weight.value_or(spec.weight);
    return found->second;
}
Result<void> FakeCore::dataset_rescan(const std::string& name) {
    const auto view = dataset(name);
    if (!view) return view.error();
    return {};
}
Result<DatasetView> FakeCore::dataset_verify(const std::string& name) {
    const auto found = views.find(name);
    if (found == views.end()) return Error{ErrorCode::not_found, "there is no dataset " + name};
    auto& verify = found->second.verify;
    verify.started = 1'700'000'000'000'000'000;
    verify.ended = verify.started + 60'000'000'000;
    verify.counts = {41, 4'100, name == "rotten" ? 1u : 0u, 0, 2, 0, 0};
    return found->second;
}
Result<std::uint64_t> FakeCore::dataset_release_deletes(const std::string& name) {
    const auto view = dataset(name);
    if (!view) return view.error();
    return view.value().deletes_held;
}
Result<Plan> FakeCore::dataset_plan(const DatasetSpec& spec) {
    return Plan{spec.name, {"needs 14.2 Gbit/s"}, {}, 14.2e9, 900, "east-west-1", 9.1e9, 9.1e9};
}
Result<LinkImpact> FakeCore::link_impact(const std::string& link, double window_s) {
    return LinkImpact{link, "west", window_s,
                      9,    0,      {{"lake", 300, 4.5, "", 9, 0, 8, 295.5, true, "there is no other way"}}};
}
Result<TargetAccepted> FakeCore::accept_target(const std::string& source_site, const DatasetSpec& spec) {
    const std::lock_guard lock(mutex);
    if (spec.target.store.starts_with("posix:/etc"))
        return Error{ErrorCode::permission_denied,
                     "/etc is beneath no allowed root: add it to allowed_roots"};
    accepted.emplace_back(source_site, spec);
    return TargetAccepted{17'000'000'000'000'000'001u};
}
Result<void> FakeCore::release_target(const std::string& source_site, const std::string& dataset,
                                      std::uint64_t store) {
    const std::lock_guard lock(mutex);
    released.emplace_back(source_site, dataset, store);
    return {};
}
std::vector<RpoView> FakeCore::rpo() {
    const std::lock_guard lock(mutex);
    return rpo_views;
}
std::vector<BundleView> FakeCore::bundles() {
    const std::lock_guard lock(mutex);
    return bundle_views;
}
std::vector<ObjectFailure> FakeCore::failures(const std::string& dataset) {
    const std::lock_guard lock(mutex);
    std::vector<ObjectFailure> out;
    for (const ObjectFailure& failure : failure_views)
        if (failure.dataset == dataset) out.push_back(failure);
    return out;
}
// Tests write the views as they like: any moment may be the one.
std::uint64_t FakeCore::wait_for_published(std::uint64_t seen, std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex);
    std::condition_variable never;
    never.wait_for(lock, std::min(patience, std::chrono::milliseconds(5)));
    return seen + 1;
}
std::vector<FlowView> FakeCore::flows() {
    const std::lock_guard lock(mutex);
    return flow_views;
}
CoreStats FakeCore::stats() {
    return CoreStats{7, 6, 5, 4, 3, 2, 1};
}

void FakeCore::note(Event event) {
    event.id = log.last() + 1;
    event.at = wall_now();
    log.append(std::move(event));
}
std::vector<Breach> FakeCore::breaches() {
    const std::lock_guard lock(mutex);
    return breach_views;
}
std::vector<PeerReport::Claim> FakeCore::claims_for(const std::string&) {
    const std::lock_guard lock(mutex);
    return claims;
}
std::vector<PeerClockView> FakeCore::peer_clocks() {
    const std::lock_guard lock(mutex);
    return clock_views;
}
void FakeCore::on_peer(const std::string& site, const PeerReport& report) {
    const std::lock_guard lock(mutex);
    peer_reports.emplace_back(site, report);
}
WallNs FakeCore::wall_now() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

void FakeCore::on_dataplane_up(const command::StatusReport& status) {
    const std::lock_guard lock(mutex);
    ups.push_back(status);
    order.push_back("up");
}
void FakeCore::on_dataplane_down() {
    const std::lock_guard lock(mutex);
    ++downs;
    order.push_back("down");
}
void FakeCore::on_bundle(const command::BundleEvent& event) {
    const std::lock_guard lock(mutex);
    bundle_events.push_back(event);
    order.push_back("bundle");
}
void FakeCore::on_mark(std::uint64_t store, WallNs watermark) {
    const std::lock_guard lock(mutex);
    marks.emplace_back(store, watermark);
    order.push_back("mark");
}
void FakeCore::on_link(const command::LinkStatus& status) {
    const std::lock_guard lock(mutex);
    links.push_back(status);
}

// ---- FakeDataplane
// ---------------------------------------------------------------------------------------------------

FakeDataplane::FakeDataplane(std::string socket_path) : path_(std::move(socket_path)) {}

void FakeDataplane::start() {
    LH_ASSERT(!thread_.joinable());
    static std::atomic<unsigned> boots{0};
    {
        const std::lock_guard lock(mutex_);
        const std::string count = std::to_string(++boots);
        boot_id_ = std::string(32 - count.size(), 'b') + count;
        requests_.clear();
        links_.clear();
    }
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    LH_ASSERT(path_.size() < sizeof address.sun_path);
    std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    unlink(path_.c_str());
    LH_ASSERT(bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    LH_ASSERT(listen(listener_, 4) == 0);
    stopping_ = false;
    thread_ = std::thread([this] { serve(); });
}

void FakeDataplane::kill() {
    if (!thread_.joinable()) return;
    stopping_ = true;
    thread_.join();
    close(listener_);
    unlink(path_.c_str());
}

void FakeDataplane::serve() {
    std::vector<std::uint8_t> incoming;
    while (!stopping_) {
        pollfd fds[2] = {{listener_, POLLIN, 0}, {connection_, POLLIN, 0}};
        poll(fds, connection_ >= 0 ? 2 : 1, 10);
        if (fds[0].revents) {
            const std::lock_guard lock(mutex_);
            if (connection_ >= 0) close(connection_);
            connection_ = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            incoming.clear();
            continue;
        }
        if (connection_ < 0 || !fds[1].revents) continue;
        std::vector<std::uint8_t> chunk(1 << 16);
        const ssize_t got = recv(connection_, chunk.data(), chunk.size(), 0);
        if (got <= 0) {
            const std::lock_guard lock(mutex_);
            close(connection_);
            connection_ = -1;
            continue;
        }
        incoming.insert(incoming.end(), chunk.begin(), chunk.begin() + got);
        for (;;) {
            auto frame = command::take_frame(incoming);
            LH_ASSERT(frame.ok());
            if (!frame.value()) break;
            take(*frame.value());
        }
    }
    const std::lock_guard lock(mutex_);
    if (connection_ >= 0) close(connection_);
    connection_ = -1;
}

void FakeDataplane::take(const command::Frame& frame) {
    const std::lock_guard lock(mutex_);
    const json request = json::parse(frame.json);
    requests_.push_back(request);
    last_blob_ = frame.blob;
    if (!silent_) write(answer(request, request.at("seq")));
}

command::LinkStatus FakeDataplane::status_of(const Link& link) const {
    command::LinkStatus status;
    status.link = link.settings.link;
    status.name = link.settings.name;
    status.lanes = link.settings.lanes;
    status.rate_cap_bps = link.settings.rate_bps;
    status.state = command::LinkState::idle;
    status.mode = link.settings.mode;
    if (!link.start) return status;
    status.session = link.start->session;
    status.state = links_come_up_ ? command::LinkState::up : command::LinkState::down;
    status.reason = links_come_up_ ? "" : "nothing heard for 2 s";
    status.rtt_ms = 50;
    status.loss = 0.001;
    status.phase = "cruise";
    status.tx_packets = 1000;
    return status;
}

json FakeDataplane::answer(const json& request, std::uint64_t seq) {
    const std::string name = request.at("request");
    if (const auto refusal = refusals_.find(name); refusal != refusals_.end())
        return command::failure_answer(seq, refusal->second);
    json out = command::success_answer(seq);
    json fields = json::object();
    if (name == "hello") {
        fields = {{"boot_id", boot_id_}, {"version", "fake"}, {"pid", 1}, {"ports", json::array()}};
    } else if (name == "status") {
        command::StatusReport report;
        report.boot_id = boot_id_;
        for (const auto& [id, link] : links_)
            report.links.push_back(status_of(link));
        to_json(fields, report);
    } else if (name == "link_add") {
        auto settings = command::link_settings_from(request);
        LH_ASSERT(settings.ok());
        links_[settings.value().link].settings = settings.value();
    } else if (name == "link_prepare") {
        Link& link = links_.at(request.at("link").get<std::uint8_t>());
        for (auto& byte : link.offer.nonce)
            byte = static_cast<std::uint8_t>(byte + 1 + link.starts);
        link.offer.spis.clear();
        for (unsigned lane = 0; lane < link.settings.lanes; ++lane)
            link.offer.spis.push_back(0x1000 + lane);
        link.offer.symbol_bytes =
            static_cast<std::uint16_t>(path_.find("west") == std::string::npos ? 1408 : 1360);
        to_json(fields, link.offer);
    } else if (name == "link_start") {
        auto start = command::link_start_from(request);
        LH_ASSERT(start.ok());
        Link& link = links_.at(start.value().link);
        if (start.value().own_nonce != link.offer.nonce)
            return command::failure_answer(
                seq, Error{ErrorCode::invalid_argument, "own_nonce is not the last prepared one"});
        link.start = start.value();
        ++link.starts;
    } else if (name == "bundle_offer") {
        fields = {{"accepted", true}};
    }
    out.update(fields);
    return out;
}

void FakeDataplane::write(const json& document) {  // under mutex_
    const auto bytes = command::write_frame({document.dump(), {}});
    std::size_t done = 0;
    while (connection_ >= 0 && done < bytes.size()) {
        const ssize_t sent = send(connection_, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
        if (sent <= 0) return;
        done += static_cast<std::size_t>(sent);
    }
}

void FakeDataplane::emit(const json& event) {
    const std::lock_guard lock(mutex_);
    write(event);
}
void FakeDataplane::refuse(const std::string& request, const Error& error) {
    const std::lock_guard lock(mutex_);
    refusals_[request] = error;
}
std::string FakeDataplane::boot_id() {
    const std::lock_guard lock(mutex_);
    return boot_id_;
}
bool FakeDataplane::connected() {
    const std::lock_guard lock(mutex_);
    return connection_ >= 0;
}
std::vector<json> FakeDataplane::requests(const std::string& name) {
    const std::lock_guard lock(mutex_);
    std::vector<json> out;
    for (const json& request : requests_)
        if (request.at("request") == name) out.push_back(request);
    return out;
}
std::string FakeDataplane::session(std::uint8_t link) {
    const auto start = started(link);
    return start ? start->session : "";
}
std::optional<command::LinkStart> FakeDataplane::started(std::uint8_t link) {
    const std::lock_guard lock(mutex_);
    return links_.contains(link) ? links_[link].start : std::nullopt;
}
unsigned FakeDataplane::starts(std::uint8_t link) {
    const std::lock_guard lock(mutex_);
    return links_.contains(link) ? links_[link].starts : 0;
}
std::vector<std::uint8_t> FakeDataplane::last_blob() {
    const std::lock_guard lock(mutex_);
    return last_blob_;
}

// ---- configuration
// ---------------------------------------------------------------------------------------------------

void make_certificates(const std::string& directory) {
    ASSERT_TRUE(pki::init(directory, "test authority").ok());
    for (const char* site : {"east", "west"})
        ASSERT_TRUE(pki::issue(directory, {site, {"localhost"}, {"127.0.0.1"}}).ok());
}

PkiConfig pki_of(const std::string& directory, const std::string& site) {
    return {directory + "/ca.pem", directory + "/" + site + ".pem", directory + "/" + site + ".key"};
}

ControlConfig sample_config(const TempDir& directory, const std::string& site) {
    ControlConfig config;
    config.site = site;
    config.state_directory = directory.path();
    config.dataplane_socket = directory / (site + ".sock");
    config.rest_listen = {"127.0.0.1", 0};
    config.peer_listen = {"127.0.0.1", 0};
    config.token_file = directory / (site + ".token");
    return config;
}

LinkConfig sample_link(const std::string& toward, const std::string& local_ip, const std::string& remote_ip) {
    LinkConfig link;
    link.site = toward;
    link.settings.link = 1;
    link.settings.name = "east-west-1";
    link.settings.port = "wan0";
    link.settings.local_ip = local_ip;
    link.settings.remote_ip = remote_ip;
    return link;
}

}  // namespace longhaul::control::test
