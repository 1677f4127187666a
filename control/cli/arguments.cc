// One table of commands serves parsing, checking and help.
// SPDX-License-Identifier: Apache-2.0
#include "control/cli/arguments.h"

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>
#include <cstdlib>
#include <sstream>

#include "control/config/values.h"

namespace longhaul::control::cli {
namespace {

namespace po = boost::program_options;
using Strings = std::vector<std::string>;

struct Command {
    std::string words;
    std::string operand;  // empty: none
    Strings options;      // those it takes beside the general ones
    std::string meaning;
    Strings required = {};
};
const std::vector<Command>& commands() {
    static const std::vector<Command> all{
        {"status", "", {}, "the node at a glance"},
        {"sites", "", {}, "this site and the others"},
        {"links", "", {}, "links: state, rate, RTT, loss"},
        {"links set",
         "NAME",
         {"rate", "share", "mode", "goal", "fec", "window", "maintenance", "blackout"},
         "change a link while it runs"},
        {"links impact", "NAME", {"for"}, "what breaks if this link carries nothing for a while"},
        {"datasets", "", {}, "datasets whose source is here"},
        {"datasets create",
         "",
         {"name", "source", "target", "rpo", "rescan", "mode", "consistency", "traffic", "link", "floor",
          "cap", "weight", "expect-change", "expect-burst", "delete-hold-share", "delete-hold-objects"},
         "replicate a tree",
         {"name", "source", "target"}},
        {"datasets plan",
         "",
         {"name", "source", "target", "rpo", "rescan", "mode", "consistency", "traffic", "link", "floor",
          "cap", "weight", "expect-change", "expect-burst", "delete-hold-share", "delete-hold-objects"},
         "whether such a dataset could hold its policy; changes nothing",
         {"name", "source", "target"}},
        {"datasets set",
         "NAME",
         {"link", "floor", "cap", "weight"},
         "change a dataset while it runs: its link, or its policy"},
        {"datasets remove", "NAME", {}, "stop replicating; the replica stays"},
        {"datasets rescan", "NAME", {}, "walk the source now"},
        {"datasets release-deletes", "NAME", {}, "let deletes go that are held as unusually many"},
        {"verify", "NAME", {"wait", "status"}, "compare both ends, object by object, without moving payload"},
        {"datasets failures", "NAME", {}, "objects whose last try failed, and why"},
        {"wait", "NAME", {"min-watermark", "timeout"}, "until what is published here is at least that fresh"},
        {"flows", "", {}, "what is assigned to which link at which rate"},
        {"bundles", "", {}, "bundles in progress"},
        {"rpo", "", {}, "how much would be lost if the source died now"},
        {"events", "", {"since", "follow"}, "alarms and refusals; --follow waits for more"},
        {"breaches", "", {}, "the ledger: when a target was missed, how far, and why"},
        {"pki init", "", {"directory", "name"}, "make a certificate authority", {"directory", "name"}},
        {"pki issue",
         "",
         {"directory", "site", "dns", "ip"},
         "make a site's certificate",
         {"directory", "site"}},
    };
    return all;
}

po::options_description text_options(const std::string& title,
                                     const std::vector<std::array<const char*, 3>>& options) {
    po::options_description out(title);
    for (const auto& [name, value, meaning] : options)
        out.add_options()(name, po::value<Strings>()->value_name(value), meaning);
    return out;
}

po::options_description general_options() {
    po::options_description out("General");
    out.add_options()("help,h", "print this help")("version", "print the version")("json",
                                                                                   "print JSON, for scripts")(
        "watch", po::value<std::string>()->implicit_value("2")->value_name("[SECONDS]"),
        "print again and again (default every 2 s)")(
        "url", po::value<std::string>()->value_name("URL"),
        "REST of longhaul-control (LONGHAUL_URL; default http://127.0.0.1:7400)")(
        "token-file", po::value<std::string>()->value_name("FILE"),
        "its bearer token (LONGHAUL_TOKEN_FILE; default /var/lib/longhaul/token)");
    return out;
}

po::options_description all_options() {
    po::options_description out;
    out.add(general_options());
    out.add(text_options(
        "links set",
        {{"rate", "RATE", "contracted rate, e.g. 500M"},
         {"share", "SHARE", "of the rate, never exceeded: 0.5 to 1 (default 0.97)"},
         {"goal", "GOAL", "throughput, balanced or latency"},
         {"fec", "FEC", "\"adaptive\", or fixed:64,M"},
         {"window", "WHEN RATE", "e.g. \"mon-fri 08:00-18:00 2G\" (UTC); may be repeated, \"\" clears"},
         {"maintenance", "FROM/TO", "e.g. 2026-12-01T22:00Z/2026-12-02T02:00Z; may be repeated"},
         {"blackout", "DATE[/DATE]", "e.g. 2026-12-24; may be repeated"}}));
    out.add(text_options("links impact",
                         {{"for", "TIME", "how long, e.g. 2h (default: its maintenance, or 1h)"}}));
    out.add(text_options(
        "datasets create",
        {{"name", "NAME", "of the dataset, or with pki init of the authority"},
         {"source", "STORE", "e.g. posix:/lake"},
         {"target", "SITE=STORE", "e.g. west=posix:/srv/replica/lake"},
         {"rpo", "DURATION", "RPO target, e.g. 60s (default 5m)"},
         {"rescan", "DURATION", "how often to walk the source (default 10s)"},
         {"mode", "MODE",
          "namespace (deletes propagate) or copy; of a link: reserved, shared, scavenger or delay"},
         {"consistency", "WHICH",
          "ordered: what shows is a prefix of the source's history (default), or object: each as soon as it "
          "is there"},
         {"traffic", "CLASS", "latency, bulk or scavenger"},
         {"link", "NAME", "only this link; with datasets set \"\": the scheduler chooses"},
         {"delete-hold-share", "SHARE", "hold deletes of more than this share of the objects (default 0.01)"},
         {"delete-hold-objects", "COUNT", "... or of more than so many (default 10000; 0: never hold)"},
         {"floor", "RATE", "promised while there is work, e.g. 500M of payload; also of datasets set"},
         {"cap", "RATE", "never more than this; 0 lifts it"},
         {"weight", "NUMBER", "its share beside others of its class (default 1)"},
         {"expect-change", "RATE", "how fast the source changes, for the admission check"},
         {"expect-burst", "BYTES", "the most that changes at once, for the admission check"}}));
    po::options_description events("events");
    events.add_options()("since", po::value<Strings>()->value_name("ID"), "only events with a larger id")(
        "follow", po::value<Strings>()->zero_tokens(), "go on printing events as they come");
    out.add(events);
    out.add(text_options("wait",
                         {{"min-watermark", "TIME", "source time, e.g. 2026-11-25T23:00:00Z (default now)"},
                          {"timeout", "DURATION", "at most 60s (default 10s)"}}));
    po::options_description verify("verify");
    verify.add_options()("wait", po::value<Strings>()->zero_tokens(),
                         "until it has ended; 1 if anything differed")(
        "status", po::value<Strings>()->zero_tokens(), "only show how the last one stands");
    out.add(verify);
    out.add(text_options("pki", {{"directory", "DIR", "where ca.pem, ca.key and the sites' files are"},
                                 {"site", "NAME", "for pki issue: the site"},
                                 {"dns", "NAME", "an additional DNS name; may be repeated"},
                                 {"ip", "ADDRESS", "an additional IP address; may be repeated"}}));
    return out;
}

std::string help() {
    std::ostringstream out;
    out << "Usage: longhaul [options] COMMAND\n\nCommands:\n";
    for (const Command& command : commands()) {
        const std::string usage = command.words + (command.operand.empty() ? "" : " " + command.operand);
        out << "  " << usage << std::string(24 - std::min<std::size_t>(usage.size(), 23), ' ')
            << command.meaning << "\n";
    }
    out << "\n"
        << all_options()
        << "\nExit status: 0 done, 1 refused or failed, 2 usage, 3 longhaul-control cannot be reached\n";
    return out.str();
}

Error usage(const std::string& text) {
    return Error{ErrorCode::invalid_argument, text + "; see longhaul --help"};
}

// The longest command at the front of the words; what follows are its operands.
Result<const Command*> find_command(Strings& words, const Arguments& arguments) {
    if (words.empty()) return usage("no command");
    const Command* found = nullptr;
    std::size_t used = 0;
    for (const Command& command : commands()) {
        const bool two = command.words.find(' ') != std::string::npos;
        const std::string front = words[0] + (two && words.size() > 1 ? " " + words[1] : "");
        if (front != command.words || (found && !two)) continue;
        found = &command;
        used = two ? 2 : 1;
    }
    if (!found) {
        Strings known;
        for (const Command& command : commands())
            known.push_back(command.words);
        const std::string typed = words[0] + (words.size() > 1 ? " " + words[1] : "");
        return usage("unknown command " + in_quotes(typed) + ": " + suggestion(typed, known));
    }
    words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(used));
    const std::size_t wanted = found->operand.empty() ? 0 : 1;
    if (words.size() < wanted) return usage("\"" + found->words + "\" needs " + found->operand);
    if (words.size() > wanted)
        return usage("\"" + found->words + "\" does not take " + in_quotes(words[wanted]));
    for (const auto& [name, values] : arguments.options)
        if (std::find(found->options.begin(), found->options.end(), name) == found->options.end())
            return usage("--" + name + " is not an option of \"" + found->words + "\"");
    for (const std::string& name : found->required)
        if (!arguments.has(name)) return usage("\"" + found->words + "\" needs --" + name);
    return found;
}

std::string from_environment(const char* name, const char* otherwise) {
    const char* value = std::getenv(name);
    return value && *value ? value : otherwise;
}

}  // namespace

Result<Arguments> parse_arguments(int argc, const char* const* argv) {
    po::options_description described = all_options();
    described.add_options()("words", po::value<Strings>());
    po::positional_options_description positions;
    positions.add("words", -1);
    po::variables_map given;
    try {
        using Style = po::command_line_style::style_t;
        const int style = po::command_line_style::unix_style & ~Style::allow_guessing;
        po::store(
            po::command_line_parser(argc, argv).options(described).positional(positions).style(style).run(),
            given);
    } catch (const po::error& error) {
        return usage(error.what());
    }
    Arguments out;
    if (given.contains("help")) out.output = help();
    if (given.contains("version")) out.output = "longhaul " LONGHAUL_VERSION "\n";
    if (!out.output.empty()) return out;

    static const Strings kGeneral{"help", "version", "json", "watch", "url", "token-file", "words"};
    for (const auto& [name, value] : given)
        if (std::find(kGeneral.begin(), kGeneral.end(), name) == kGeneral.end())
            out.options[name] = value.as<Strings>();
    Strings words = given.contains("words") ? given["words"].as<Strings>() : Strings{};
    if (given.contains("watch")) {
        std::string interval = given["watch"].as<std::string>();
        const bool number_follows =
            words.size() > 1 && words.back().find_first_not_of("0123456789.") == std::string::npos;
        if (number_follows) {  // `--watch 5`: an optional value is only taken after '=', so it was left as a
                               // word
            interval = words.back();
            words.pop_back();
        }
        const auto seconds = parse_duration_s(interval);
        if (!seconds || seconds.value() < 0.1)
            return usage("--watch " + in_quotes(interval) + " is not an interval of at least 0.1 s");
        out.watch_s = seconds.value();
    }
    const auto command = find_command(words, out);
    if (!command) return command.error();
    out.command = command.value()->words;
    out.operands = std::move(words);
    out.json = given.contains("json");
    out.url = given.contains("url") ? given["url"].as<std::string>()
                                    : from_environment("LONGHAUL_URL", "http://127.0.0.1:7400");
    out.token_file = given.contains("token-file")
                         ? given["token-file"].as<std::string>()
                         : from_environment("LONGHAUL_TOKEN_FILE", "/var/lib/longhaul/token");
    return out;
}

}  // namespace longhaul::control::cli
