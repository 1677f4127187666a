// REST documents as tables and lines for people.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace longhaul::control::cli {

std::string show_status(const nlohmann::json& document);
std::string show_sites(const nlohmann::json& document);
std::string show_links(const nlohmann::json& document);
std::string show_link_change(const nlohmann::json& document);
std::string show_datasets(const nlohmann::json& document);
std::string show_failures(const nlohmann::json& document);
std::string show_verification(const std::string& dataset, const nlohmann::json& document);
std::string show_flows(const nlohmann::json& document);
std::string show_plan(const nlohmann::json& document);
std::string show_impact(const nlohmann::json& document);
// A list of texts, one a line, each behind `before`.
std::string show_lines(const nlohmann::json& document, const char* field, const std::string& before);
std::string show_bundles(const nlohmann::json& document);
std::string show_rpo(const nlohmann::json& document);
std::string show_breaches(const nlohmann::json& document);
std::string show_event(const nlohmann::json& event);  // one line

}  // namespace longhaul::control::cli
