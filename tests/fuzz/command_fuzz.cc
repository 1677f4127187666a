// Any bytes on the command socket: frames are taken or refused, and every JSON parser that accepts a document
// says the same about what it would write itself.
// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>
#include <vector>

#include "dataplane/command/messages.h"
#include "tests/fuzz/target.h"

using namespace longhaul;

namespace {

template <typename Parser>
void parse_twice(Parser parser, const nlohmann::json& document) {
    const auto value = parser(document);
    if (!value.ok()) return;
    nlohmann::json first, second;
    to_json(first, value.value());
    const auto again = parser(first);
    LH_ASSERT(again.ok());
    to_json(second, again.value());
    LH_ASSERT(first == second);
}

void parse_document(const std::string& text) {
    const auto document = nlohmann::json::parse(text, nullptr, false);
    if (document.is_discarded()) return;
    parse_twice(command::link_settings_from, document);
    parse_twice(command::link_offer_from, document);
    parse_twice(command::link_start_from, document);
    parse_twice(command::link_status_from, document);
    parse_twice(command::bundle_offer_from, document);
    parse_twice(command::bundle_event_from, document);
    parse_twice(command::status_report_from, document);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    parse_document(std::string(as_text({data, size})));
    std::vector<std::uint8_t> buffer(data, data + size);
    for (;;) {
        const std::size_t before = buffer.size();
        const auto frame = command::take_frame(buffer);
        if (!frame.ok() || !frame.value().has_value()) return 0;
        LH_ASSERT(buffer.size() < before);
        parse_document(frame.value()->json);
    }
}
