// Addresses with a prefix length, as an operator writes them on a port.
// SPDX-License-Identifier: Apache-2.0
#include <charconv>

#include "drivers/nic/nic.h"

namespace longhaul::nic {

Result<IpPrefix> parse_prefix(std::string_view text) {
    const auto refuse = [&](const std::string& why) {
        return Error{ErrorCode::invalid_argument, std::string("\"").append(text) +
                                                      "\" is no address of a port: " + why +
                                                      "; write for example 10.77.0.1/24 or fd00::1/64"};
    };
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) return refuse("the prefix length is missing");
    auto address = wire::parse_ip(text.substr(0, slash));
    if (!address) return refuse("the address does not parse");
    IpPrefix prefix{address.value(), 0};
    const unsigned most = prefix.address.v6 ? 128 : 32;
    const std::string_view length = text.substr(slash + 1);
    const auto [rest, failure] = std::from_chars(length.data(), length.data() + length.size(), prefix.length);
    if (failure != std::errc{} || rest != length.data() + length.size() || prefix.length == 0 ||
        prefix.length > most)
        return refuse("the prefix length must be 1 to " + std::to_string(most));
    return prefix;
}

}  // namespace longhaul::nic
