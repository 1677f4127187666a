// How each JSON type is checked before it becomes a value of ours; see fields.h.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/command/fields.h"

#include <algorithm>
#include <cmath>

#include "dataplane/command/messages.h"

namespace longhaul::command {

using nlohmann::json;

FieldReader::FieldReader(const json& object, std::string_view message) : object_(object), message_(message) {
    if (!object.is_object())
        failure_ = Error{ErrorCode::protocol_error, std::string(message) + ": must be a JSON object"};
}

void FieldReader::refuse(const char* field, std::string_view wish) {
    if (failure_) return;
    failure_ = Error{ErrorCode::protocol_error,
                     std::string(message_) + ": field '" + field + "' " + std::string(wish)};
}

void FieldReader::adopt(const Error& error) {
    if (!failure_) failure_ = Error{error.code, std::string(message_) + ": " + error.text};
}

const json* FieldReader::find(const char* field) {
    if (failure_) return nullptr;
    const auto found = object_.find(field);
    if (found == object_.end()) {
        refuse(field, "is missing");
        return nullptr;
    }
    return &*found;
}

// A parsed number that is not negative is unsigned; one that our own code has built may be a signed one.
std::optional<std::uint64_t> FieldReader::unsigned_of(const json& value) noexcept {
    if (const auto* number = value.get_ptr<const json::number_unsigned_t*>()) return *number;
    if (const auto* number = value.get_ptr<const json::number_integer_t*>();
        number != nullptr && *number >= 0)
        return static_cast<std::uint64_t>(*number);
    return std::nullopt;
}

std::optional<std::uint64_t> FieldReader::number(const char* field, std::uint64_t least, std::uint64_t most) {
    const json* found = find(field);
    if (found == nullptr) return std::nullopt;
    const auto value = unsigned_of(*found);
    if (value && *value >= least && *value <= most) return value;
    refuse(field, "must be a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    return std::nullopt;
}

void FieldReader::read(const char* field, std::int64_t& out) {
    const json* found = find(field);
    if (found == nullptr) return;
    const auto magnitude = unsigned_of(*found);
    if (magnitude && *magnitude <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        out = static_cast<std::int64_t>(*magnitude);
    else if (!magnitude && found->is_number_integer())
        out = *found->get_ptr<const json::number_integer_t*>();
    else
        refuse(field, "must be a whole number of 64 bits");
}

void FieldReader::read(const char* field, bool& out) {
    const json* found = find(field);
    if (found == nullptr) return;
    if (const bool* value = found->get_ptr<const json::boolean_t*>())
        out = *value;
    else
        refuse(field, "must be true or false");
}

void FieldReader::read(const char* field, double& out) {
    const json* found = find(field);
    if (found == nullptr) return;
    if (!found->is_number()) return refuse(field, "must be a number");
    const double value = found->get<double>();
    if (!std::isfinite(value)) return refuse(field, "must be a finite number");
    out = value;
}

void FieldReader::read(const char* field, std::string& out) {
    const json* found = find(field);
    if (found == nullptr) return;
    if (const std::string* value = found->get_ptr<const json::string_t*>())
        out = *value;
    else
        refuse(field, "must be a string");
}

void FieldReader::read(const char* field, std::array<std::uint8_t, 32>& out) {
    std::string text;
    read(field, text);
    if (!ok()) return;
    const auto bytes = unhex(text);
    if (!bytes.ok() || bytes.value().size() != out.size()) return refuse(field, "must be 64 hex digits");
    std::copy(bytes.value().begin(), bytes.value().end(), out.begin());
}

void FieldReader::read(const char* field, wire::BundleId& out) {
    std::string text;
    read(field, text);
    if (!ok()) return;
    const auto id = wire::parse_bundle_id(text);
    if (!id.ok()) return refuse(field, "must be a bundle id of 32 hex digits");
    out = id.value();
}

void FieldReader::read(const char* field, std::optional<unsigned>& out, unsigned most) {
    if (failure_) return;
    const auto found = object_.find(field);
    out.reset();
    if (found == object_.end() || found->is_null()) return;
    if (const auto value = number(field, 0, most)) out = static_cast<unsigned>(*value);
}

const json* FieldReader::array(const char* field, std::size_t most) {
    const json* found = find(field);
    if (found == nullptr) return nullptr;
    if (found->is_array() && found->size() <= most) return found;
    refuse(field, "must be a list of at most " + std::to_string(most) + " items");
    return nullptr;
}

}  // namespace longhaul::command
