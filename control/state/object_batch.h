// New rows of `objects`, and their publication, written many with one statement, behind the loop's back: what SQLite costs
// beside the row is most of what a small file costs control, and the loop needs no answer.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "control/state/records.h"
#include "control/state/sqlite.h"
#include "control/state/write_behind.h"

namespace longhaul::control {

class ObjectBatch {
  public:
    ObjectBatch(Database& database, WriteBehind& behind);

    bool empty() const { return gathered_.offered.empty() && gathered_.published.empty(); }
    bool takes(std::int64_t dataset) const { return empty() || dataset == gathered_.dataset; }
    // Within a transaction that writes.
    void offer(std::int64_t dataset, std::string key, const Fingerprint& print, std::string_view link);
    void publish(std::int64_t dataset, std::string key);  // of a row that offer() made
    void post();                                          // what is gathered, behind what is on its way
    void write();  // what is gathered, by the caller: nobody else uses the connection

  private:
    static constexpr std::size_t kRows = 32;
    struct Offered {
        std::string key, link;
        Fingerprint print;
    };
    struct Piece {
        std::int64_t dataset = 0;
        std::vector<Offered> offered;
        std::vector<std::string> published;
    };
    void post_if_full();
    void execute(const Piece& piece);
    static void bind(Statement& insert, std::int64_t dataset, const Offered& row);

    WriteBehind& behind_;
    Piece gathered_;  // all of one dataset
    Statement insert_one_, insert_many_, publish_one_, publish_many_;
};

// From `kind` to `names`, without `published`.
Statement& bind_object(Statement& to, const Fingerprint& print, std::string_view link);

}  // namespace longhaul::control
