// A file that the target has already, under another name: it travels as a name and not as bytes.
//
// That is how a rename travels (a new name, then the removal of the old one), the content of a directory that was moved,
// and every hard link but the first. Three orders make it true whatever happens in between:
//   - what would take a file from its old name (a removal, an overwriting) waits until the new names that still want it are
//     there, unless these fail or wait for it in turn, as in a swap of two names: then one of them goes as bytes;
//   - a second new name waits for the first, whose bytes are on their way, as for a name whose metadata are;
//   - a name for which anything has been sent since its row was written gives its file to nobody (object_in_doubt).
// Under consistency `ordered` the bundles' own order makes it true: whatever was composed before a name shows before it,
// whatever is composed later goes later. So nobody waits, and who gives the file may still be on its way.
// The target checks size and mtime once more, and when it refuses, bytes are sent. Mode `copy` keeps its objects apart.
// SPDX-License-Identifier: Apache-2.0
#include "control/dataset/runner.h"

namespace longhaul::control {

namespace {

bool is_new_file(const Change& change) {
    return change.action == Action::create && change.print.kind == ObjectKind::file && !change.assemble;
}

}  // namespace

bool Runner::may_link(const Change& change) const {
    return is_new_file(change) && !change.as_bytes && change.print.birth_ns != 0 &&
           record_.spec.mode == Mode::namespace_ && !larges_.contains(change.path);
}

// The path whose change has to be through before this one may go.
std::optional<std::string> Runner::same_file_in_the_way(const Change& change) {
    // What becomes another kind must not wait for what may lie beneath it.
    if (change.takes_name && !news_.contains(change.path)) {
        const auto row = state_.object(record_.id, change.path);
        const bool gives = row && row->published && row->print.ctime_ns != 0;  // as StateStore::names_of
        const Change* heir = gives ? pending_.heir_of(row->print, change.path) : nullptr;
        if (heir != nullptr && may_link(*heir) && pending_.will_come(heir->path, change.path))
            return heir->path;
    }
    if (!may_link(change)) return std::nullopt;
    const Change* first = pending_.giver_of(change.print, change.path);
    return first != nullptr ? std::optional(first->path) : std::nullopt;
}

// A file that was born after all those which the target ever had is none of them.
std::vector<std::string> Runner::names_at_target(const Fingerprint& print) {
    if (print.birth_ns > published_.youngest_birth_ns) return {};
    return state_.names_of(record_.id, print);
}

void Runner::choose_name(Change& change) {
    change.link_to.reset();
    if (!may_link(change) || (change.print.size == 0 && change.print.names <= 1)) return;
    for (const std::string& path : names_at_target(change.print)) {
        const auto other = pending_.find(path);
        if (path == change.path || (other && (*other)->place == Place::in_flight)) continue;
        change.link_to = std::make_unique<std::string>(path);
        return;
    }
    if (!ordered()) return;
    const Change* giver = pending_.giver_of(change.print, change.path);
    if (giver != nullptr && giver->place == Place::in_flight && !news_.contains(giver->path))
        change.link_to = std::make_unique<std::string>(giver->path);
}

// A removal that is half of a rename is none to the delete hold. Whichever half a sweep finds first.
bool Runner::is_moved(const std::string& path) const {
    const auto row = state_.object(record_.id, path);
    return row && row->published && pending_.heir_of(row->print, path) != nullptr;
}

void Runner::find_moved(const Fingerprint& now) {
    if (pending_.removes() == 0 || now.birth_ns == 0) return;
    for (const std::string& path : names_at_target(now)) {
        const auto removal = pending_.find(path);
        if (!removal || (*removal)->action != Action::remove || (*removal)->moved) continue;
        (*removal)->moved = true;
        delete_hold_.undone(path);
    }
}

// The target could not: bytes will do. What waited for the name may go.
void Runner::send_bytes_instead(Pending::Handle change) {
    change->as_bytes = true;
    change->link_to.reset();
    pending_.wake(change->path);
}

}  // namespace longhaul::control
