// SPDX-License-Identifier: Apache-2.0
#include "control/state/object_batch.h"

#include <memory>
#include <utility>

#include "dataplane/base/assert.h"

namespace longhaul::control {

namespace {

std::string repeated(const char* head, const char* one, std::size_t times, const char* tail) {
    std::string sql = head;
    for (std::size_t i = 0; i < times; ++i)
        sql.append(i == 0 ? "" : ",").append(one);
    return sql + tail;
}

std::string insert_of(std::size_t rows) {
    return repeated("INSERT OR REPLACE INTO objects VALUES ", "(?,?,?,?,?,?,?,?,?,?,?,0,?,?,?)", rows, "");
}
std::string publish_of(std::size_t rows) {
    return repeated("UPDATE objects SET published=1 WHERE dataset=? AND key IN (", "?", rows, ")");
}

}  // namespace

Statement& bind_object(Statement& to, const Fingerprint& print, std::string_view link) {
    to.bind(static_cast<std::int64_t>(print.kind)).bind(print.size).bind(print.mode).bind(print.uid);
    to.bind(print.gid).bind(print.mtime_ns).bind(print.ctime_ns).bind(print.inode).bind_blob(link);
    return to.bind(print.attributes).bind(print.birth_ns).bind(print.names);
}

ObjectBatch::ObjectBatch(Database& database, WriteBehind& behind)
    : behind_(behind),
      insert_one_(database, insert_of(1)),
      insert_many_(database, insert_of(kRows)),
      publish_one_(database, publish_of(1)),
      publish_many_(database, publish_of(kRows)) {}

void ObjectBatch::offer(std::int64_t dataset, std::string key, const Fingerprint& print,
                        std::string_view link) {
    LH_ASSERT(takes(dataset));
    gathered_.dataset = dataset;
    gathered_.offered.push_back({std::move(key), std::string(link), print});
    post_if_full();
}

void ObjectBatch::publish(std::int64_t dataset, std::string key) {
    LH_ASSERT(takes(dataset));
    gathered_.dataset = dataset;
    gathered_.published.push_back(std::move(key));
    post_if_full();
}

void ObjectBatch::post_if_full() {
    if (gathered_.offered.size() == kRows || gathered_.published.size() == kRows) post();
}

void ObjectBatch::post() {
    if (empty()) return;
    behind_.post([this, piece = std::make_shared<const Piece>(std::move(gathered_))] { execute(*piece); });
    gathered_ = {};
    gathered_.offered.reserve(kRows);
    gathered_.published.reserve(kRows);
}

void ObjectBatch::write() {
    execute(gathered_);
    gathered_.offered.clear();
    gathered_.published.clear();
}

void ObjectBatch::bind(Statement& insert, std::int64_t dataset, const Offered& row) {
    bind_object(insert.bind(dataset).bind_blob(row.key), row.print, row.link);
}

// Rows before their publication: both may be of one object.
void ObjectBatch::execute(const Piece& piece) {
    const bool inserts_many = piece.offered.size() == kRows;
    for (const auto& row : piece.offered) {
        bind(inserts_many ? insert_many_ : insert_one_, piece.dataset, row);
        if (!inserts_many) insert_one_.run();
    }
    if (inserts_many) insert_many_.run();

    const bool publishes_many = piece.published.size() == kRows;
    if (publishes_many) publish_many_.bind(piece.dataset);
    for (const auto& key : piece.published) {
        if (publishes_many)
            publish_many_.bind_blob(key);
        else
            publish_one_.bind(piece.dataset).bind_blob(key).run();
    }
    if (publishes_many) publish_many_.run();
}

}  // namespace longhaul::control
