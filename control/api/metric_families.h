// How a metric finds its samples: what the tables of families (metrics_*.cc) share. For metrics.cc and them only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "control/api/metrics.h"

namespace longhaul::control {

using Labels = std::vector<std::pair<const char*, std::string>>;

// The lines of one family, appended to `out`.
class Samples {
  public:
    Samples(std::string& out, const char* name) : out_(out), name_(name) {}

    void add(const Labels& labels, std::uint64_t value);
    void add(const Labels& labels, double value);
    void add(const Labels& labels, bool value);

  private:
    void line(const Labels& labels, const std::string& value);

    std::string& out_;
    const char* name_;
};

struct Family {
    MetricFamily family;
    void (*collect)(const MetricsInput&, Samples&);
};
std::span<const Family> site_families();
std::span<const Family> rpo_families();
std::span<const Family> dataset_families();
std::span<const Family> link_families();

inline Labels of(const RpoView& view) {
    return {{"dataset", view.dataset}, {"site", view.site}, {"role", view.role}};
}
inline Labels of(const LinkView& view) {
    return {{"link", view.name}, {"site", view.site}};
}
inline Labels of(const DatasetView& view) {
    return {{"dataset", view.spec.name}, {"site", view.spec.target.site}};
}
inline Labels of(const FlowView& view) {
    return {{"dataset", view.dataset}, {"site", view.target_site}, {"link", view.link}};
}
inline double unix_s(WallNs time) {
    return static_cast<double>(time / 1'000'000) / 1e3;
}

template <auto Field>
void each_rpo(const MetricsInput& input, Samples& samples) {
    for (const RpoView& view : input.rpo)
        samples.add(of(view), view.*Field);
}
template <auto Field>
void each_known_rpo(const MetricsInput& input, Samples& samples) {
    for (const RpoView& view : input.rpo)
        if (view.*Field) samples.add(of(view), *(view.*Field));
}

}  // namespace longhaul::control
