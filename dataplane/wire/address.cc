// Text forms of MAC and IP addresses.
// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>

#include <cstring>

#include "dataplane/wire/frame.h"

namespace longhaul::wire {
namespace {

int hex_digit(char character) noexcept {
    if (character >= '0' && character <= '9') return character - '0';
    if (character >= 'a' && character <= 'f') return character - 'a' + 10;
    if (character >= 'A' && character <= 'F') return character - 'A' + 10;
    return -1;
}

constexpr std::size_t kMacTextBytes = 17;

Error not_an_address(std::string_view text, const char* advice) {
    std::string message = "\"";
    message.append(text).append("\" is ").append(advice);
    return {ErrorCode::invalid_argument, std::move(message)};
}

}  // namespace

Result<MacAddress> parse_mac(std::string_view text) {
    const Error error =
        not_an_address(text, "not a MAC address; write six hexadecimal pairs as 02:00:00:00:00:01");
    if (text.size() != kMacTextBytes) return error;
    MacAddress mac{};
    for (std::size_t i = 0; i < mac.size(); ++i) {
        const int high = hex_digit(text[3 * i]), low = hex_digit(text[3 * i + 1]);
        if (high < 0 || low < 0 || (i > 0 && text[3 * i - 1] != ':')) return error;
        mac[i] = static_cast<std::uint8_t>(high << 4 | low);
    }
    return mac;
}

std::string to_string(const MacAddress& mac) {
    std::string text;
    for (const std::uint8_t byte : mac) {
        if (!text.empty()) text.push_back(':');
        text.push_back("0123456789abcdef"[byte >> 4]);
        text.push_back("0123456789abcdef"[byte & 0xf]);
    }
    return text;
}

Result<IpAddress> parse_ip(std::string_view text) {
    const std::string terminated(text);
    IpAddress address;
    address.v6 = text.find(':') != std::string_view::npos;
    const bool whole = terminated.size() == std::strlen(terminated.c_str());
    if (!whole || inet_pton(address.v6 ? AF_INET6 : AF_INET, terminated.c_str(), address.bytes.data()) != 1) {
        return not_an_address(text, "not an IP address; write 10.77.0.1 or fd77::1, without a prefix length");
    }
    return address;
}

std::string to_string(const IpAddress& address) {
    char text[INET6_ADDRSTRLEN] = {};
    LH_ASSERT(inet_ntop(address.v6 ? AF_INET6 : AF_INET, address.bytes.data(), text, sizeof text) != nullptr);
    return text;
}

}  // namespace longhaul::wire
