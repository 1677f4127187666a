// SPDX-License-Identifier: Apache-2.0
#include "dataplane/command/rate.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "dataplane/base/quotes.h"
#include "dataplane/command/messages.h"

namespace longhaul::command {

Result<std::uint64_t> parse_rate_bps(std::string_view text) {
    using Unit = std::pair<std::string_view, double>;
    static constexpr std::array<Unit, 4> kUnits{{{"", 1.0}, {"K", 1e3}, {"M", 1e6}, {"G", 1e9}}};
    const std::size_t end = std::min(text.find_first_not_of("0123456789."), text.size());
    double number = 0;
    const auto [stop, error] =
        std::from_chars(text.data(), text.data() + end, number, std::chars_format::fixed);
    const auto unit = std::find_if(kUnits.begin(), kUnits.end(),
                                   [&](const Unit& known) { return known.first == text.substr(end); });
    if (error != std::errc{} || stop != text.data() + end || unit == kUnits.end())
        return Error{ErrorCode::invalid_argument,
                     in_quotes(text) + " is not a rate: write a number with K, M, G (bit/s), e.g. \"1G\""};
    const double rate = number * unit->second;
    if (!(rate >= 1000) || rate > static_cast<double>(kRateBpsMax))
        return Error{ErrorCode::invalid_argument,
                     in_quotes(text) + " is not a usable rate: write one from \"1K\" to \"1000G\" (bit/s)"};
    return static_cast<std::uint64_t>(std::llround(rate));
}

}  // namespace longhaul::command
