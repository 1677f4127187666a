// Typed access to the fields of a JSON object from outside: the first wrong field is remembered by its name,
// whatever follows is left at its default, and nothing throws. Check ok() once after a group of reads.
// Unknown fields are ignored, so that a newer peer may say more.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/wire/manifest.h"

namespace longhaul::command {

class FieldReader {
  public:
    // `message` names the whole in error texts ("link_add"). Both are borrowed for the reader's life.
    FieldReader(const nlohmann::json& object, std::string_view message);

    bool ok() const noexcept { return !failure_.has_value(); }
    const Error& error() const {
        LH_ASSERT(failure_.has_value());
        return *failure_;
    }

    // Whole numbers from 0; negative, fractional and too large ones are refused, 64 bits stay exact.
    template <std::unsigned_integral T>
    requires(!std::same_as<T, bool>) void read(const char* field, T& out,
                                               std::uint64_t most = std::numeric_limits<T>::max(),
                                               std::uint64_t least = 0) {
        out = static_cast<T>(number(field, least, most).value_or(out));
    }
    void read(const char* field, std::int64_t& out);
    void read(const char* field, bool& out);
    void read(const char* field, double& out);  // any JSON number
    void read(const char* field, std::string& out);
    void read(const char* field, std::array<std::uint8_t, 32>& out);            // 64 hex digits
    void read(const char* field, wire::BundleId& out);                          // 32 hex digits
    void read(const char* field, std::optional<unsigned>& out, unsigned most);  // absent or null: none

    // The field's array, or nullptr (and failed) when it is missing, no array or longer than `most`.
    const nlohmann::json* array(const char* field, std::size_t most);
    template <std::unsigned_integral T>
    void read_list(const char* field, std::vector<T>& out, std::size_t most) {
        const nlohmann::json* list = array(field, most);
        if (list == nullptr) return;
        out.clear();
        for (const nlohmann::json& item : *list) {
            const auto value = unsigned_of(item);
            if (!value || *value > std::numeric_limits<T>::max())
                return refuse(field, "must list whole numbers in range");
            out.push_back(static_cast<T>(*value));
        }
    }

    void refuse(const char* field, std::string_view wish);  // for checks that go beyond the type
    void adopt(const Error& error);                         // of a part: kept when it is the first

    static std::optional<std::uint64_t> unsigned_of(const nlohmann::json& value) noexcept;

  private:
    const nlohmann::json* find(const char* field);
    std::optional<std::uint64_t> number(const char* field, std::uint64_t least, std::uint64_t most);

    const nlohmann::json& object_;
    std::string_view message_;
    std::optional<Error> failure_;
};

}  // namespace longhaul::command
