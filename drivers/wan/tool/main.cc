// longhaul-wan: a long-distance link between pairs of ports of any kind, with what such links do to packets.
// SPDX-License-Identifier: Apache-2.0
#include <sys/prctl.h>

#include <boost/program_options.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <sstream>

#include "drivers/wan/tool/bridge.h"
#include "drivers/wan/tool/control_socket.h"
#include "drivers/wan/tool/tap.h"

namespace longhaul::wan {
namespace {

namespace options = boost::program_options;

constexpr TimeNs kControlEvery = kMillisecond;
constexpr unsigned kFrameMemoryBytes =
    4096;                                  // of a 1500-byte frame: without hugepages no buffer crosses a page
constexpr unsigned kMemoryBesideMib = 48;  // rings, EAL's own

volatile std::sig_atomic_t stop_requested = 0;
void request_stop(int) {
    stop_requested = 1;
}

TimeNs now_ns() {
    return static_cast<TimeNs>(std::chrono::steady_clock::now().time_since_epoch().count());
}

struct Setup {
    std::vector<std::string> devices_a, devices_b;  // one each for a pair of ports
    std::string socket, file_prefix, run_directory;
    LinkSettings a, b;
    std::uint64_t seed = 1;
    unsigned memory_mib = 0, idle_sleep_us = 50;
    std::uint16_t device_mtu = 1500;
    bool poll = false, hugepages = true;
    double duration_s = 0;
};

options::options_description link_options(const std::string& prefix, const std::string& title) {
    options::options_description group(title);
    for (const SettingHelp& help : setting_help()) {
        const std::string text = prefix.empty() ? std::string(help.meaning) + " (" + help.example + ")"
                                                : std::string("this direction only");
        group.add_options()((prefix + help.name).c_str(),
                            options::value<std::string>()->value_name(help.example), text.c_str());
    }
    return group;
}

Result<LinkSettings> link_settings(const options::variables_map& given, const std::string& side) {
    LinkSettings settings;
    for (const std::string& prefix : {std::string(), side + "-"})
        for (const SettingHelp& help : setting_help()) {
            const std::string option = prefix + help.name;
            if (given.count(option) == 0) continue;
            auto applied = apply_setting(settings, help.name, given[option].as<std::string>());
            if (!applied) return Error{applied.error().code, "--" + option + ": " + applied.error().text};
            settings = applied.value();
        }
    return settings;
}

options::options_description all_options(Setup& setup) {
    options::options_description ports("Ports");
    ports.add_options()("help", "this text")  //
        ("a", options::value(&setup.devices_a)->value_name("DEVICE"),
         "port A: a PCI address, any DPDK device (net_memif0,role=server,socket=...), or tap:NAME[@NETNS]; "
         "given again with another --b: a further pair that shares the link")(
            "b", options::value(&setup.devices_b)->value_name("DEVICE"), "port B, likewise")(
            "device-mtu", options::value(&setup.device_mtu)->default_value(1500), "MTU of the ports");
    options::options_description running("Running");
    running.add_options()("socket", options::value(&setup.socket)->value_name("PATH"),
                          "control socket; see longhaul-wan ctl --help")(
        "seed", options::value(&setup.seed)->default_value(1), "of every random decision")(
        "duration", options::value(&setup.duration_s)->default_value(0),
        "seconds to run; 0: until SIGTERM, SIGINT or quit")(
        "poll", options::bool_switch(&setup.poll), "never sleep: one core for the most exact delays")(
        "idle-sleep-us", options::value(&setup.idle_sleep_us)->default_value(50),
        "longest sleep while nothing is due")("memory", options::value(&setup.memory_mib)->default_value(0),
                                              "MiB for frames; 0: worked out from rate and delay")(
        "no-hugepages", options::bool_switch(), "ordinary pages even where hugepages are free")(
        "file-prefix", options::value(&setup.file_prefix)->default_value("longhaul-wan"),
        "DPDK's name of this process; one each on a machine")(
        "run-directory", options::value(&setup.run_directory)->default_value(""),
        "where DPDK keeps its sockets");
    options::options_description all(
        "longhaul-wan --a DEVICE --b DEVICE [options]\nlonghaul-wan ctl --socket PATH COMMAND...");
    all.add(ports).add(running).add(link_options("", "Link, both directions"));
    all.add(link_options("a-", "Link, from A to B")).add(link_options("b-", "Link, from B to A"));
    return all;
}

// 0: run; otherwise the program's end with that code plus one.
int read_options(int argc, char** argv, Setup& setup) {
    options::variables_map given;
    auto all = all_options(setup);
    try {
        options::store(
            options::command_line_parser(argc, argv)
                .options(all)
                .style(options::command_line_style::unix_style & ~options::command_line_style::allow_guessing)
                .run(),
            given);
        options::notify(given);
    } catch (const options::error& failure) {
        std::cerr << "longhaul-wan: " << failure.what() << "; see longhaul-wan --help\n";
        return 3;
    }
    if (given.count("help") != 0) {
        std::cout << all;
        return 1;
    }
    auto a = link_settings(given, "a"), b = link_settings(given, "b");
    std::string wrong = !a ? a.error().text : !b ? b.error().text : "";
    if (setup.devices_a.empty() || setup.devices_a.size() != setup.devices_b.size())
        wrong = "--a and --b must name a device each, and equally many of them";
    if (!wrong.empty()) {
        std::cerr << "longhaul-wan: " << wrong << "\n";
        return 3;
    }
    setup.a = a.value();
    setup.b = b.value();
    setup.hugepages = !given["no-hugepages"].as<bool>();
    return 0;
}

std::string set_link(Bridge& bridge, std::istringstream& words, TimeNs now) {
    std::string side, name, value, extra;
    words >> side >> name >> value >> extra;
    if (value.empty() || !extra.empty() || (side != "a" && side != "b" && side != "both"))
        return "error: write: set a|b|both NAME VALUE, for example: set both loss 1%";
    for (const bool b : {false, true}) {
        if (side == (b ? "a" : "b")) continue;
        LinkModel& model = bridge.direction(b).model;
        auto applied = apply_setting(model.settings(), name, value);
        if (!applied) return "error: " + applied.error().text;
        model.set(applied.value(), now);
    }
    return "ok";
}

std::string obey(Bridge& bridge, const std::string& line) {
    std::istringstream words(line);
    std::string verb;
    words >> verb;
    if (verb == "set") return set_link(bridge, words, now_ns());
    if (verb == "show") return bridge.show(now_ns());
    if (verb == "quit") {
        stop_requested = 1;
        return "ok";
    }
    return "error: the commands are: set a|b|both NAME VALUE, show, quit";
}

void sleep_until(TimeNs at) {
    const timespec when{static_cast<time_t>(at / kSecond), static_cast<long>(at % kSecond)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr);  // a signal may end it early: harmless
}

void run(const Setup& setup, Bridge& bridge, ControlSocket* control) {
    prctl(PR_SET_TIMERSLACK, 1);
    const TimeNs start = now_ns();
    const TimeNs end =
        setup.duration_s > 0 ? start + static_cast<TimeNs>(setup.duration_s * kSecond) : kNever;
    TimeNs control_at = start;
    while (stop_requested == 0) {
        const TimeNs now = now_ns();
        if (now >= end) return;
        const bool busy = bridge.step(now_ns);
        if (control != nullptr && now >= control_at) {
            control->serve([&](const std::string& line) { return obey(bridge, line); });
            control_at = now + kControlEvery;
        }
        if (!busy && !setup.poll)
            sleep_until(std::min(bridge.next_at(), now + setup.idle_sleep_us * kMicrosecond));
    }
}

Result<std::unique_ptr<nic::Port>> open_port(const Setup& setup, std::string name, const std::string& device,
                                             unsigned frames) {
    nic::PortConfig port;
    port.name = std::move(name);
    port.device = device;
    port.mtu = setup.device_mtu;
    port.promiscuous = true;
    port.mbufs = frames + 4096;  // what the rings of both ports may hold besides
    return open_device(port);
}

// Takes the setup from a checked command line to the end of the run; an error's text is for the operator.
Result<void> operate(Setup& setup) {
    const HoldingPlan plan_a = plan_holding(setup.a), plan_b = plan_holding(setup.b);
    const std::uint64_t frames = std::uint64_t{plan_a.frames} + plan_b.frames;
    const std::size_t pairs = setup.devices_a.size();  // each could fill the whole link with its frames
    if (setup.memory_mib == 0)
        setup.memory_mib =
            static_cast<unsigned>(pairs * (frames + 8192) * kFrameMemoryBytes >> 20) + kMemoryBesideMib;
    nic::EalConfig eal;
    eal.program = "longhaul-wan";
    eal.file_prefix = setup.file_prefix;
    eal.run_directory = setup.run_directory;
    eal.hugepages = setup.hugepages;
    eal.memory_mib = setup.memory_mib;
    eal.workers = 0;
    for (const auto* devices : {&setup.devices_a, &setup.devices_b})
        for (const std::string& device : *devices)
            if (device.find(':') != std::string::npos && !device.starts_with("tap:") &&
                !device.starts_with("net_"))
                eal.pci_allow.push_back(device.substr(0, device.find(',')));
    auto report = nic::eal_start(eal);
    if (!report) return report.error();
    std::fprintf(stderr, "longhaul-wan: %s; holds %u frames from A to B, %u from B to A%s\n",
                 report.value().text.c_str(), plan_a.frames, plan_b.frames,
                 plan_a.capped || plan_b.capped ? " (the ceiling: watch held_dropped)" : "");

    std::vector<PortPair> ports;
    for (std::size_t i = 0; i < pairs; ++i) {
        const std::string number = i == 0 ? "" : std::to_string(i + 1);
        auto a = open_port(setup, "A" + number, setup.devices_a[i], plan_a.frames);
        if (!a) return a.error();
        auto b = open_port(setup, "B" + number, setup.devices_b[i], plan_b.frames);
        if (!b) return b.error();
        ports.push_back({std::move(a).value(), std::move(b).value()});
    }
    Bridge bridge(std::move(ports), setup.a, setup.b, plan_a.frames, plan_b.frames, setup.seed);
    std::unique_ptr<ControlSocket> control;
    if (!setup.socket.empty()) {
        auto listening = ControlSocket::listen(setup.socket);
        if (!listening) return listening.error();
        control = std::move(listening).value();
    }
    std::fprintf(stderr, "longhaul-wan: running\n");
    run(setup, bridge, control.get());
    std::fprintf(stderr, "longhaul-wan: %s\n", bridge.show(now_ns()).c_str());
    return {};
}

int control_client(int argc, char** argv) {
    std::string socket, line;
    for (int i = 2; i < argc; ++i) {
        const std::string word = argv[i];
        if (word == "--socket" && i + 1 < argc)
            socket = argv[++i];
        else
            line += (line.empty() ? "" : " ") + word;
    }
    if (socket.empty() || line.empty() || line == "--help") {
        std::cerr << "longhaul-wan ctl --socket PATH set a|b|both NAME VALUE | show | quit\nnames:";
        for (const SettingHelp& help : setting_help())
            std::cerr << ' ' << help.name;
        std::cerr << '\n';
        return line == "--help" ? 0 : 2;
    }
    auto answer = ask(socket, line);
    if (!answer) {
        std::cerr << "longhaul-wan: " << answer.error().text << '\n';
        return 1;
    }
    const bool refused = answer.value().starts_with("error: ");
    (refused ? std::cerr : std::cout) << answer.value() << '\n';
    return refused ? 1 : 0;
}

}  // namespace
}  // namespace longhaul::wan

int main(int argc, char** argv) {
    using namespace longhaul::wan;
    if (argc > 1 && std::string(argv[1]) == "ctl") return control_client(argc, argv);
    Setup setup;
    if (const int code = read_options(argc, argv, setup); code != 0) return code - 1;
    struct sigaction action {};
    action.sa_handler = request_stop;
    for (const int number : {SIGTERM, SIGINT})
        sigaction(number, &action, nullptr);
    const auto outcome = operate(setup);
    if (!outcome) std::fprintf(stderr, "longhaul-wan: %s\n", outcome.error().text.c_str());
    longhaul::nic::end_process(outcome ? 0 : 1);
}
