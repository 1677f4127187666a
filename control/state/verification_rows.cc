// How far the comparison of both ends has come, and what it compares next.
// SPDX-License-Identifier: Apache-2.0
#include "control/state/state_store.h"

namespace longhaul::control {

std::optional<VerificationRecord> StateStore::verification(std::int64_t dataset) {
    reading();
    Statement query(
        database_,
        "SELECT started,ended,next_key,next_offset,objects,bytes,differing,missing,changed,unreadable,"
        "metadata FROM verifications WHERE dataset=?");
    query.bind(dataset);
    if (!query.step()) return std::nullopt;
    VerificationRecord record;
    record.started = query.integer(0);
    record.ended = query.integer(1);
    record.next_key = query.text(2);
    record.next_offset = query.number(3);
    record.counts = {query.number(4), query.number(5), query.number(6), query.number(7),
                     query.number(8), query.number(9), query.number(10)};
    return record;
}

void StateStore::verification_put(std::int64_t dataset, const VerificationRecord& record) {
    writing();
    const VerifyCounts& counts = record.counts;
    Statement put(database_, "INSERT OR REPLACE INTO verifications VALUES (?,?,?,?,?,?,?,?,?,?,?,?)");
    put.bind(dataset).bind(record.started).bind(record.ended).bind_blob(record.next_key);
    put.bind(record.next_offset).bind(counts.objects).bind(counts.bytes).bind(counts.differing);
    put.bind(counts.missing).bind(counts.changed).bind(counts.unreadable);
    put.bind(counts.metadata).run();
}

std::vector<PublishedObject> StateStore::published_objects(std::int64_t dataset, const std::string& from_key,
                                                           std::size_t most) {
    reading();
    Statement query(database_, "SELECT key," + kObjectColumns +
                                   " FROM objects WHERE dataset=? AND key>=? AND published=1 "
                                   "ORDER BY key LIMIT ?");
    query.bind(dataset).bind_blob(from_key).bind(static_cast<std::int64_t>(most));
    std::vector<PublishedObject> objects;
    while (query.step()) {
        ObjectRecord record = object_from(query, 1);
        objects.push_back({path_of_key(query.text(0)), record.print, std::move(record.link)});
    }
    return objects;
}

}  // namespace longhaul::control
