// Bundles in JSON: offers, events and the report that states everything again after a restart. Stages travel
// by name, reasons by their stable number.
// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "dataplane/command/fields.h"
#include "dataplane/command/messages.h"

namespace longhaul::command {

using nlohmann::json;

namespace {
constexpr std::array kOrderStates{OrderState::staged, OrderState::publishing, OrderState::published,
                                  OrderState::failed, OrderState::refused,    OrderState::gone};
constexpr std::array kStages{wire::Stage::complete, wire::Stage::durable, wire::Stage::published,
                             wire::Stage::failed};

// A reason this build has no name for must not reach a switch elsewhere. The compiler keeps the list whole.
bool is_reason(std::uint64_t number) noexcept {
    return number <= 0xff && wire::is_known(static_cast<wire::FailReason>(number));
}

void read_failures(FieldReader& fields, std::vector<wire::EntryFailure>& out) {
    const json* list = fields.array("failures", wire::kFailuresListed);
    if (list == nullptr) return;
    for (const json& item : *list) {
        const bool is_pair = item.is_array() && item.size() == 2;
        const auto entry = is_pair ? FieldReader::unsigned_of(item[0]) : std::nullopt;
        const auto reason = is_pair ? FieldReader::unsigned_of(item[1]) : std::nullopt;
        if (!entry || *entry > 0xffffffffu || !reason || !is_reason(*reason))
            return fields.refuse("failures", "must list pairs of entry and reason number");
        out.push_back({static_cast<std::uint32_t>(*entry), static_cast<wire::FailReason>(*reason)});
    }
}

template <typename T, typename Parse>
void read_parts(FieldReader& fields, const char* field, std::size_t most, std::vector<T>& out, Parse parse) {
    const json* list = fields.array(field, most);
    if (list == nullptr) return;
    out.reserve(list->size());
    for (const json& item : *list) {
        auto part = parse(item);
        if (!part.ok()) return fields.adopt(part.error());
        out.push_back(std::move(part).value());
    }
}

Result<wire::BundleId> id_from(const json& in) {
    const std::string* text = in.get_ptr<const json::string_t*>();
    if (text == nullptr) return Error{ErrorCode::protocol_error, "field 'in_flight' must list bundle ids"};
    return wire::parse_bundle_id(*text);
}
}  // namespace

void to_json(json& out, const BundleOfferMessage& value) {
    out = json{{"link", value.link},
               {"id", wire::to_string(value.id)},
               {"generation", value.generation},
               {"source_store", value.source_store}};
}

Result<BundleOfferMessage> bundle_offer_from(const json& in) {
    BundleOfferMessage value;
    FieldReader fields(in, "bundle_offer");
    fields.read("link", value.link);
    fields.read("id", value.id);
    fields.read("generation", value.generation);
    fields.read("source_store", value.source_store);
    if (!fields.ok()) return fields.error();
    return value;
}

void to_json(json& out, const BundleEvent& value) {
    json failures = json::array();
    for (const wire::EntryFailure& failure : value.failures)
        failures.push_back(json::array({failure.entry, static_cast<unsigned>(failure.reason)}));
    out = json{{"id", wire::to_string(value.id)},
               {"generation", value.generation},
               {"link", value.link},
               {"stage", wire::to_string(value.stage)},
               {"reason", static_cast<unsigned>(value.reason)},
               {"failed_entries", value.failed_entries},
               {"failures", std::move(failures)}};
}

Result<BundleEvent> bundle_event_from(const json& in) {
    BundleEvent value;
    std::string stage;
    std::uint8_t reason = 0;
    FieldReader fields(in, "bundle event");
    fields.read("id", value.id);
    fields.read("generation", value.generation);
    fields.read("link", value.link);
    fields.read("stage", stage);
    fields.read("reason", reason);
    fields.read("failed_entries", value.failed_entries);
    read_failures(fields, value.failures);
    if (fields.ok() && !is_reason(reason)) fields.refuse("reason", "must be the number of a known reason");
    if (!fields.ok()) return fields.error();
    value.reason = static_cast<wire::FailReason>(reason);
    for (const wire::Stage known : kStages) {
        if (stage != wire::to_string(known)) continue;
        value.stage = known;
        return value;
    }
    fields.refuse("stage", "must be the name of a stage");
    return fields.error();
}

const char* to_string(OrderState state) noexcept {
    switch (state) {
        case OrderState::staged:
            return "staged";
        case OrderState::publishing:
            return "publishing";
        case OrderState::published:
            return "published";
        case OrderState::failed:
            return "failed";
        case OrderState::refused:
            return "refused";
        case OrderState::gone:
            return "gone";
    }
    return "unknown";
}

void to_json(json& out, const OrderEvent& value) {
    out = json{{"store", value.store},
               {"id", wire::to_string(value.id)},
               {"generation", value.generation},
               {"link", value.link},
               {"state", to_string(value.state)},
               {"run", value.place.run},
               {"number", value.place.number},
               {"position_run", value.position.run},
               {"position_number", value.position.number}};
}

Result<OrderEvent> order_event_from(const json& in) {
    OrderEvent value;
    std::string state;
    FieldReader fields(in, "order event");
    fields.read("store", value.store);
    fields.read("id", value.id);
    fields.read("generation", value.generation);
    fields.read("link", value.link);
    fields.read("state", state);
    fields.read("run", value.place.run);
    fields.read("number", value.place.number);
    fields.read("position_run", value.position.run);
    fields.read("position_number", value.position.number);
    if (!fields.ok()) return fields.error();
    for (const OrderState known : kOrderStates) {
        if (state != to_string(known)) continue;
        value.state = known;
        return value;
    }
    fields.refuse("state", "must be the name of a state");
    return fields.error();
}

void to_json(json& out, const StatusReport& value) {
    json in_flight = json::array();
    for (const wire::BundleId& id : value.in_flight)
        in_flight.push_back(wire::to_string(id));
    out = json{{"boot_id", value.boot_id},
               {"links", value.links},
               {"source_stores", value.source_stores},
               {"target_stores", value.target_stores},
               {"bundles", value.bundles},
               {"in_flight", std::move(in_flight)}};
}

Result<StatusReport> status_report_from(const json& in) {
    StatusReport value;
    FieldReader fields(in, "status");
    fields.read("boot_id", value.boot_id);
    read_parts(fields, "links", kLinksMax, value.links, link_status_from);
    fields.read_list("source_stores", value.source_stores, kStoresListedMax);
    fields.read_list("target_stores", value.target_stores, kStoresListedMax);
    read_parts(fields, "bundles", kBundlesListedMax, value.bundles, bundle_event_from);
    read_parts(fields, "in_flight", kBundlesListedMax, value.in_flight, id_from);
    if (!fields.ok()) return fields.error();
    return value;
}

}  // namespace longhaul::command
