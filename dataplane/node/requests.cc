// Control's requests, one function each; those about links are in links.cc. Answers that workers must give come later,
// under the request's number.
// SPDX-License-Identifier: Apache-2.0
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "dataplane/command/fields.h"
#include "dataplane/node/node.h"

namespace longhaul::node {

using command::FieldReader;

void Node::take_frames() {
    for (const command::Frame& frame : socket_.receive())
        serve(frame);
}

void Node::serve(const command::Frame& frame) {
    const auto document = command::parse_document(frame.json);
    if (!document.ok()) {
        spdlog::warn("control sent what is not a request: {}", document.error().text);
        return;
    }
    const Json& request = document.value();
    std::string name;
    std::uint64_t sequence = 0;
    FieldReader fields(request, "request");
    fields.read("seq", sequence);
    fields.read("request", name);
    if (!fields.ok()) return send(command::failure_answer(sequence, fields.error()));
    bool answer_later = false;
    Json answer = serve_request(name, request, sequence, frame.blob, answer_later);
    if (!answer_later) send(answer);
}

Node::Json Node::serve_request(const std::string& name, const Json& request, std::uint64_t sequence,
                               std::vector<std::uint8_t> blob, bool& answer_later) {
    const auto with = [&](Json fields) {
        Json answer = command::success_answer(sequence);
        answer.update(fields);
        return answer;
    };
    const auto later = [&](const Result<void>& started) {
        answer_later = started.ok();
        return started.ok() ? Json() : command::failure_answer(sequence, started.error());
    };
    FieldReader fields(request, name);
    if (name == "hello") return with(hello());
    if (name == "status") {
        // Results that a control before this one may have missed are told again behind its first status.
        send(with(status()));
        if (!std::exchange(results_told_, true)) {
            for (const command::BundleEvent& event : ledger_.finished()) {
                Json document = event;
                document["event"] = "bundle";
                send(document);
            }
            for (const auto& [key, staged] : staged_) {
                Json document = staged.event;
                document["event"] = "order";
                send(document);
            }
        }
        answer_later = true;
        return {};
    }
    if (name == "store_open") return later(store_open(request, sequence));
    if (name == "link_add") return later(link_add(request, sequence));
    if (name == "link_start") return later(link_start(request, sequence));
    if (name == "link_remove") return later(link_remove(request, sequence));
    if (name == "store_close") return later(store_close(request, sequence));
    if (name == "link_prepare") {
        std::uint8_t link = 0;
        fields.read("link", link);
        if (!fields.ok()) return command::failure_answer(sequence, fields.error());
        auto offer = link_prepare(link);
        return offer.ok() ? with(offer.value()) : command::failure_answer(sequence, offer.error());
    }
    if (name == "bundle_offer") {
        auto accepted = bundle_offer(request, std::move(blob));
        return accepted.ok() ? with({{"accepted", accepted.value()}})
                             : command::failure_answer(sequence, accepted.error());
    }
    if (name == "bundle_cancel") {
        const auto sent = bundle_cancel(request);
        return sent.ok() ? command::success_answer(sequence)
                         : command::failure_answer(sequence, sent.error());
    }
    if (name == "bundle_ack") {
        const Json* ids = fields.array("ids", command::kBundlesListedMax);
        if (ids == nullptr) return command::failure_answer(sequence, fields.error());
        for (const Json& each : *ids) {
            auto id =
                wire::parse_bundle_id(each.is_string() ? each.get_ref<const std::string&>() : std::string());
            if (!id.ok()) return command::failure_answer(sequence, id.error());
            ledger_.acknowledge(id.value());
        }
        return command::success_answer(sequence);
    }
    if (name == "order_publish" || name == "order_discard") {
        const auto sent = settle_staged(request, name == "order_publish");
        return sent.ok() ? command::success_answer(sequence)
                         : command::failure_answer(sequence, sent.error());
    }
    return command::failure_answer(sequence,
                                   Error{ErrorCode::invalid_argument, "unknown request \"" + name + "\""});
}

Node::Json Node::hello() const {
    Json ports = Json::array();
    for (const nic::PortConfig& port : config_.ports)
        ports.push_back(port.name);
    return {{"boot_id", boot_id_},
            {"version", LONGHAUL_VERSION},
            {"pid", static_cast<std::uint64_t>(::getpid())},
            {"ports", ports}};
}

Node::Json Node::status() const {
    command::StatusReport report;
    report.boot_id = boot_id_;
    for (const auto& [number, link] : links_)
        report.links.push_back(link.status);
    for (const auto& [store, role] : stores_)
        (role == storage::StoreRole::source ? report.source_stores : report.target_stores).push_back(store);
    report.bundles = ledger_.finished();
    report.in_flight = ledger_.in_flight();
    return report;
}

Result<void> Node::store_open(const Json& request, std::uint64_t sequence) {
    worker::OpenStore open;
    std::string role;
    FieldReader fields(request, "store_open");
    fields.read("store", open.store);
    fields.read("directory", open.directory);
    fields.read("role", role);
    fields.read("marked", open.marked);
    if (fields.ok() && role != "source" && role != "target")
        fields.refuse("role", "must be \"source\" or \"target\"");
    if (!fields.ok()) return fields.error();
    open.role = role == "source" ? storage::StoreRole::source : storage::StoreRole::target;
    const auto answer = gather_answer(sequence);
    const auto opened =
        gather([this, store = open.store, as = open.role, answer](const Result<void>& outcome) {
            if (outcome.ok())
                stores_[store] = as;
            else
                answer->error = outcome.error();
            close(answer);
        });
    for (unsigned worker = 0; worker < workers_.size(); ++worker)
        ask(opened, worker, open);
    close(opened);
    return {};
}

Result<void> Node::store_close(const Json& request, std::uint64_t sequence) {
    std::uint64_t store = 0;
    FieldReader fields(request, "store_close");
    fields.read("store", store);
    if (!fields.ok()) return fields.error();
    stores_.erase(store);
    const auto answer = gather_answer(sequence);
    for (unsigned worker = 0; worker < workers_.size(); ++worker)
        ask(answer, worker, worker::CloseStore{0, store});
    close(answer);
    return {};
}

Result<void> Node::bundle_cancel(const Json& request) {
    wire::BundleId id;
    FieldReader fields(request, "bundle_cancel");
    fields.read("id", id);
    if (!fields.ok()) return fields.error();
    for (const auto& [number, link] : links_) {
        const unsigned* const group = link.spread.group_of(id);
        if (group != nullptr && *group < link.groups.size())
            return to_worker(link.groups[*group].place.worker, worker::CancelBundle{id});
    }
    return {};
}

// Told twice it changes nothing: what is publishing stays so, what is over is not found.
Result<void> Node::settle_staged(const Json& request, bool publish) {
    worker::SettleStaged settle;
    settle.publish = publish;
    FieldReader fields(request, publish ? "order_publish" : "order_discard");
    fields.read("link", settle.link);
    fields.read("id", settle.id);
    fields.read("generation", settle.generation);
    if (!fields.ok()) return fields.error();
    const auto found = staged_.find({settle.id, settle.link});
    if (found == staged_.end() || found->second.event.generation != settle.generation)
        return Error{ErrorCode::not_found, "bundle " + wire::to_string(settle.id) + " is not staged here"};
    if (found->second.event.state == command::OrderState::publishing) return {};
    return to_worker(found->second.worker, std::move(settle));
}

Result<bool> Node::bundle_offer(const Json& request, std::vector<std::uint8_t> blob) {
    auto offer = command::bundle_offer_from(request);
    if (!offer.ok()) return offer.error();
    if (links_.find(offer.value().link) == links_.end())
        return Error{ErrorCode::not_found,
                     "link " + std::to_string(offer.value().link) + " is not configured"};
    switch (ledger_.offer(offer.value())) {
        case BundleLedger::Offer::full:
            return false;
        case BundleLedger::Offer::known: {
            // Stated again after its end: the result is told again instead of sending the bytes again.
            if (const command::BundleEvent* result = ledger_.result(offer.value().id)) {
                Json document = *result;
                document["event"] = "bundle";
                send(document);
            }
            return true;
        }
        case BundleLedger::Offer::accepted:
            break;
    }
    const command::BundleOfferMessage kept = offer.value();
    auto sent = offer_to_group(links_.at(kept.link), std::move(offer).value(), std::move(blob));
    if (sent.ok()) {
        take_back_elsewhere(kept);
        return true;
    }
    ledger_.withdraw(kept);
    return false;
}

}  // namespace longhaul::node
