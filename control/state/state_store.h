// Everything control must still know after it has crashed. Owned and used by the loop's thread alone; a sweep
// reads through a connection of its own (ObjectCursor).
//
// Writes gather in one transaction that the first of them opens and commit() ends, so that thousands of
// objects cost one fsync. synchronous=FULL: what was committed before a bundle was offered is there after a
// power cut, or an object could stand at the target that nobody remembers having sent.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "control/rpo/clock_offset.h"
#include "control/rpo/slo.h"
#include "control/state/object_batch.h"
#include "control/state/records.h"
#include "control/state/sqlite.h"
#include "control/state/write_behind.h"

namespace longhaul::control {

struct PublishedTotals {
    std::uint64_t objects = 0, bytes = 0;
    std::int64_t youngest_birth_ns = 0;  // of the files; also of such as are not published any more
};

// What object_from() reads, from that column of a row on.
inline const std::string kObjectColumns =
    "kind,size,mode,uid,gid,mtime_ns,ctime_ns,inode,link,published,attributes,birth_ns,names";
ObjectRecord object_from(Statement& row, int column);

std::string key_of_path(std::string_view path);
std::string path_of_key(std::string_view key);
std::string end_of_subtree(
    std::string_view key);  // sorts behind all that is beneath it, and before anything else

class StateStore {
  public:
    static Result<std::unique_ptr<StateStore>> open(const std::string& path);
    ~StateStore();  // commits

    void commit();
    const std::string& path() const { return database_.path(); }

    std::int64_t dataset_add(const DatasetRecord& record);  // returns its id
    void dataset_link_set(std::int64_t id, const std::string& link);
    void dataset_policy(const DatasetRecord& record);  // its floor, cap and weight
    void dataset_update(
        const DatasetRecord& record);  // watermarks, sweep counters, totals, root, target store
    void dataset_remove(std::int64_t id);
    std::vector<DatasetRecord> datasets();

    void target_put(const TargetRecord& record);
    void target_remove(std::uint64_t store);
    std::vector<TargetRecord> targets();

    void release_put(const ReleaseRecord& record);
    void release_done(std::uint64_t store);
    std::vector<ReleaseRecord> releases();

    std::optional<ObjectRecord> object(std::int64_t dataset, std::string_view path);
    // Under which names the target has this very file, a few of them at most.
    std::vector<std::string> names_of(std::int64_t dataset, const Fingerprint& print);
    void object_offered(std::int64_t dataset, std::string_view path,
                        ObjectKind kind);  // keeps a row that is there
    // The same where none is there, or only one that this made: as it will be once it has been published.
    void object_first_offered(std::int64_t dataset, std::string_view path, const Fingerprint& print,
                              std::string_view link);
    void object_published_as_offered(std::int64_t dataset,
                                     std::string_view path);  // after object_first_offered
    void object_published(std::int64_t dataset, std::string_view path, const Fingerprint& print,
                          std::string_view link);
    // A change of it is on its way: until that is known to have succeeded, whatever stands at the source
    // differs from what the target may hold. Files need no such mark, their ctime never comes back; but no other name is
    // made of what may be another version.
    void object_in_doubt(std::int64_t dataset, std::string_view path);
    void object_forget(std::int64_t dataset, std::string_view path);
    // The next look must find that a file's metadata differs, though it does not at the source.
    void metadata_lost(std::int64_t dataset, std::string_view path);
    // A removal whose outcome may never be heard of: not published until it is again.
    void object_may_be_gone(std::int64_t dataset, std::string_view path);
    // The target's copy of a directory has another mtime than the one recorded: the next look must see a
    // difference.
    void directory_unsettle(std::int64_t dataset, std::string_view path);
    PublishedTotals published_totals(std::int64_t dataset);
    void objects_forget_published(std::int64_t dataset);  // another store: nothing is known to be there

    void bundle_put(BundleRecord record);
    void bundle_remove(const wire::BundleId& id);
    std::vector<BundleRecord> bundles(std::int64_t dataset);

    void range_put(std::int64_t dataset, std::string_view path, const wire::ObjectKey& object,
                   const RangeRecord& range);
    std::vector<RangeRecord> ranges(std::int64_t dataset, std::string_view path,
                                    const wire::ObjectKey& object);
    void ranges_forget(std::int64_t dataset, std::string_view path);  // of every version

    // verification_rows.cc
    std::optional<VerificationRecord> verification(std::int64_t dataset);
    void verification_put(std::int64_t dataset, const VerificationRecord& record);
    // In the order of their keys, from this one on.
    std::vector<PublishedObject> published_objects(std::int64_t dataset, const std::string& from_key,
                                                   std::size_t most);

    // rpo_rows.cc. A subject is one dataset as seen from one end.
    std::uint64_t event_add(const Event& event);  // returns its id; forgets the oldest
    std::vector<Event> events();
    std::int64_t breach_put(const Breach& breach);   // id 0: a new one; returns its id
    std::vector<Breach> breaches(std::size_t most);  // newest first
    std::optional<Breach> open_breach(const std::string& subject);
    void slo_put(const std::string& subject, const SloSlot& slot);
    void slo_forget_before(const std::string& subject, std::int64_t minutes, std::int64_t start);
    std::vector<SloSlot> slo_slots(const std::string& subject);
    void watch_forget(const std::string& subject, WallNs now);
    void peer_clock_put(const std::string& site, const ClockEstimate& clock);
    void own_clock_put(const std::string& prefix, const std::string& name,
                       const ClockEstimate& clock);  // the only one
    std::map<std::string, ClockEstimate> peer_clocks();

  private:
    explicit StateStore(Database database);
    // Whoever uses the connection calls one of these first: it may be another thread's at the moment.
    void
    reading();  // opens a transaction if none is open: what is asked often locks the file but once a turn
    void writing();                                 // opens one that may write, unless it is open
    void gathering(std::int64_t dataset);           // for batch_
    void write_later(std::function<void()> write);  // behind those that are on their way, or at once

    Database database_;
    WriteBehind behind_;
    ObjectBatch batch_;
    enum class Transaction : std::uint8_t { none, reads, writes } open_ = Transaction::none;
    struct Prepared;
    std::unique_ptr<Prepared> prepared_;
};

// The objects of one dataset in key order, as they were when restart() was called. For one thread of a sweep.
class ObjectCursor {
  public:
    static Result<std::unique_ptr<ObjectCursor>> open(const std::string& path, std::int64_t dataset);
    void restart(const std::string& first_key, const std::string& end_key);  // an empty end: to the last one
    void end();                                                              // holds no row any more
    bool valid() const { return valid_; }
    std::string_view key() const { return key_; }
    const ObjectRecord& record() const { return record_; }
    void next();

  private:
    ObjectCursor(Database database, std::int64_t dataset);
    Database database_;
    const std::int64_t dataset_;
    std::string first_, end_;  // bound to a query
    Statement to_last_, to_end_;
    Statement* query_ = nullptr;
    bool valid_ = false;
    std::string key_;
    ObjectRecord record_;
};

}  // namespace longhaul::control
