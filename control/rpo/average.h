// Averages of a rate that forget: each second counts less the longer ago it was.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

namespace longhaul::control {

// Exponentially weighted over time, not over samples: a stretch of `seconds` weighs 1 - exp(-seconds/tau), so
// rare long samples and frequent short ones give the same figure. The first ones count by their share of the
// time seen so far, or a start from zero would look like a slow source.
class Average {
  public:
    explicit Average(double tau_s) : tau_s_(tau_s) {}
    void add(double value, double seconds) {
        if (seconds <= 0) return;
        seen_s_ += seconds;
        const double weight = seen_s_ < tau_s_ ? seconds / seen_s_ : 1 - std::exp(-seconds / tau_s_);
        value_ += (value - value_) * weight;
    }
    double value() const { return value_; }
    void clear() { value_ = seen_s_ = 0; }

  private:
    double tau_s_;
    double value_ = 0, seen_s_ = 0;
};

}  // namespace longhaul::control
