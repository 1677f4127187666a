// Prometheus text of all families.
// SPDX-License-Identifier: Apache-2.0
#include "control/api/metrics.h"

#include <array>
#include <charconv>
#include <cstdio>

#include "control/api/metric_families.h"

namespace longhaul::control {
namespace {

template <typename Visit>
void for_each_family(Visit visit) {
    for (const auto table : {site_families(), rpo_families(), dataset_families(), link_families()})
        for (const Family& one : table)
            visit(one);
}

}  // namespace

void Samples::add(const Labels& labels, std::uint64_t value) {
    line(labels, std::to_string(value));
}

void Samples::add(const Labels& labels, double value) {
    std::array<char, 40> buffer{};
    const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
    if (error == std::errc{}) line(labels, std::string(buffer.data(), end));
}

void Samples::add(const Labels& labels, bool value) {
    line(labels, value ? "1" : "0");
}

void Samples::line(const Labels& labels, const std::string& value) {
    out_ += name_;
    const char* open = "{";
    for (const auto& [label, text] : labels) {
        out_ += open;
        out_ += label;
        out_ += "=\"" + escape_label(text) + "\"";
        open = ",";
    }
    if (!labels.empty()) out_ += "}";
    out_ += " " + value + "\n";
}

std::string escape_label(const std::string& value) {
    std::string out;
    for (const char c : value) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '\\')
            out += "\\\\";
        else if (c == '"')
            out += "\\\"";
        else if (c == '\n')
            out += "\\n";
        else if (byte < 0x20 || byte == 0x7f) {
            std::array<char, 8> text{};
            std::snprintf(text.data(), text.size(), "\\\\x%02X", byte);
            out += text.data();
        } else {
            out += c;
        }
    }
    return out;
}

std::span<const MetricFamily> metric_families() {
    static const std::vector<MetricFamily> families = [] {
        std::vector<MetricFamily> out;
        for_each_family([&](const Family& one) { out.push_back(one.family); });
        return out;
    }();
    return families;
}

std::string metrics_text(const MetricsInput& input) {
    std::string out;
    for_each_family([&](const Family& one) {
        out += std::string("# HELP ") + one.family.name + " " + one.family.help + "\n";
        out += std::string("# TYPE ") + one.family.name + " " + one.family.type + "\n";
        Samples samples(out, one.family.name);
        one.collect(input, samples);
    });
    return out;
}

}  // namespace longhaul::control
