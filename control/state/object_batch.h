// New rows of `objects`, and their publication, written many with one statement: what a statement costs beside its row is
// most of what a small file costs control.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "control/state/records.h"
#include "control/state/sqlite.h"

namespace longhaul::control {

class ObjectBatch {
  public:
    explicit ObjectBatch(Database& database);

    // True: whatever is gathered has to be written before more of it can be.
    bool full() const { return offered_.size() == kRows || published_.size() == kRows; }
    bool empty() const { return offered_.empty() && published_.empty(); }
    bool takes(std::int64_t dataset) const { return empty() || dataset == dataset_; }
    void offer(std::int64_t dataset, std::string key, const Fingerprint& print, std::string_view link);
    void publish(std::int64_t dataset, std::string key);  // of a row that offer() made
    void write();                                         // within a transaction

  private:
    static constexpr std::size_t kRows = 32;
    struct Offered {
        std::string key, link;
        Fingerprint print;
    };
    void bind(Statement& insert, const Offered& row) const;

    std::int64_t dataset_ = 0;  // of all that is gathered
    std::vector<Offered> offered_;
    std::vector<std::string> published_;
    Statement insert_one_, insert_many_, publish_one_, publish_many_;
};

// From `kind` to `names`, without `published`.
Statement& bind_object(Statement& to, const Fingerprint& print, std::string_view link);

}  // namespace longhaul::control
