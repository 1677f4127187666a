// SPDX-License-Identifier: Apache-2.0
#include "control/state/object_batch.h"

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

ObjectBatch::ObjectBatch(Database& database)
    : insert_one_(database, insert_of(1).c_str()),
      insert_many_(database, insert_of(kRows).c_str()),
      publish_one_(database, publish_of(1).c_str()),
      publish_many_(database, publish_of(kRows).c_str()) {}

void ObjectBatch::offer(std::int64_t dataset, std::string key, const Fingerprint& print,
                        std::string_view link) {
    LH_ASSERT(takes(dataset) && !full());
    dataset_ = dataset;
    offered_.push_back({std::move(key), std::string(link), print});
}

void ObjectBatch::publish(std::int64_t dataset, std::string key) {
    LH_ASSERT(takes(dataset) && !full());
    dataset_ = dataset;
    published_.push_back(std::move(key));
}

void ObjectBatch::bind(Statement& insert, const Offered& row) const {
    bind_object(insert.bind(dataset_).bind_blob(row.key), row.print, row.link);
}

// Rows before their publication: both may be of one object.
void ObjectBatch::write() {
    const bool inserts_many = offered_.size() == kRows;
    for (const auto& row : offered_) {
        bind(inserts_many ? insert_many_ : insert_one_, row);
        if (!inserts_many) insert_one_.run();
    }
    if (inserts_many) insert_many_.run();
    offered_.clear();

    const bool publishes_many = published_.size() == kRows;
    if (publishes_many) publish_many_.bind(dataset_);
    for (const auto& key : published_) {
        if (publishes_many)
            publish_many_.bind_blob(key);
        else
            publish_one_.bind(dataset_).bind_blob(key).run();
    }
    if (publishes_many) publish_many_.run();
    published_.clear();
}

}  // namespace longhaul::control
