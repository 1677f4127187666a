// The statements behind StateStore, prepared once.
// SPDX-License-Identifier: Apache-2.0
#include "control/state/state_store.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "control/state/schema.h"

namespace longhaul::control {

namespace {

std::array<std::uint8_t, 16> id_bytes(const wire::BundleId& id) {
    std::array<std::uint8_t, 16> bytes{};
    ByteWriter writer(bytes);
    writer.u64(id.high);
    writer.u64(id.low);
    return bytes;
}

wire::BundleId id_from(std::string_view blob) {
    ByteReader reader(as_bytes(blob));
    wire::BundleId id;
    id.high = reader.u64();
    id.low = reader.u64();
    return id;
}

constexpr std::int64_t kNamesLooked = 16;  // of one inode, for one that the target has
constexpr std::size_t kNoteBytes = 27;

std::vector<std::uint8_t> notes_bytes(const std::vector<EntryNote>& notes) {
    std::vector<std::uint8_t> bytes(notes.size() * kNoteBytes);
    ByteWriter writer(bytes);
    for (const auto& note : notes) {
        writer.u64(note.inode);
        writer.u32(note.first_sweep);
        writer.u8(note.racy ? 1 : 0);
        writer.u8(static_cast<std::uint8_t>(note.kind));
        writer.u8(note.action);
        writer.i64(note.birth_ns);
        writer.u32(note.names);
    }
    return bytes;
}

std::vector<EntryNote> notes_from(std::string_view blob) {
    std::vector<EntryNote> notes(blob.size() / kNoteBytes);
    ByteReader reader(as_bytes(blob));
    for (auto& note : notes) {
        note.inode = reader.u64();
        note.first_sweep = reader.u32();
        note.racy = reader.u8() != 0;
        note.kind = static_cast<ObjectKind>(reader.u8());
        note.action = reader.u8();
        note.birth_ns = reader.i64();
        note.names = reader.u32();
    }
    return notes;
}

}  // namespace

ObjectRecord object_from(Statement& row, int column) {
    ObjectRecord record;
    record.print.kind = static_cast<ObjectKind>(row.integer(column));
    record.print.size = row.number(column + 1);
    record.print.mode = static_cast<std::uint32_t>(row.integer(column + 2));
    record.print.uid = static_cast<std::uint32_t>(row.integer(column + 3));
    record.print.gid = static_cast<std::uint32_t>(row.integer(column + 4));
    record.print.mtime_ns = row.integer(column + 5);
    record.print.ctime_ns = row.integer(column + 6);
    record.print.inode = row.number(column + 7);
    record.link = row.text(column + 8);
    record.published = row.integer(column + 9) != 0;
    record.print.attributes = static_cast<std::uint64_t>(row.integer(column + 10));
    record.print.birth_ns = row.integer(column + 11);
    record.print.names = static_cast<std::uint32_t>(row.integer(column + 12));
    return record;
}

std::string key_of_path(std::string_view path) {
    std::string key(path);
    std::replace(key.begin(), key.end(), '/', '\0');
    return key;
}

std::string path_of_key(std::string_view key) {
    std::string path(key);
    std::replace(path.begin(), path.end(), '\0', '/');
    return path;
}

// A zero byte stands for the slash, and a name cannot have one.
std::string end_of_subtree(std::string_view key) {
    return std::string(key) + '\1';
}

struct StateStore::Prepared {
    explicit Prepared(Database& db)
        : object_get(db, "SELECT " + kObjectColumns + " FROM objects WHERE dataset=? AND key=?"),
          object_offer(db,
                       "INSERT INTO objects VALUES (?,?,?,0,0,0,0,0,0,0,x'',0,0,0,0) ON CONFLICT DO NOTHING"),
          doubt(db,
                "UPDATE objects SET mtime_ns=CASE kind WHEN 1 THEN mtime_ns ELSE ? END,"
                "birth_ns=CASE kind WHEN 1 THEN 0 ELSE birth_ns END "
                "WHERE dataset=? AND key=? AND published=1"),
          // By that index or not at all: the planner takes the primary key, and with it every row of the dataset.
          inode_list(db, "SELECT key," + kObjectColumns +
                             " FROM objects INDEXED BY objects_by_inode "
                             "WHERE dataset=? AND inode=? AND kind=1 AND published=1 LIMIT ?"),
          object_publish(db,
                         "UPDATE objects SET kind=?,size=?,mode=?,uid=?,gid=?,mtime_ns=?,ctime_ns=?,inode=?,"
                         "link=?,published=1,attributes=?,birth_ns=?,names=? WHERE dataset=? AND key=?"),
          object_delete(db, "DELETE FROM objects WHERE dataset=? AND key=?"),
          unsettle(db, "UPDATE objects SET mtime_ns=? WHERE dataset=? AND key=? AND kind=2 AND published=1"),
          bundle_insert(db,
                        "INSERT INTO bundles VALUES (?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET "
                        "link=excluded.link,generation=excluded.generation,"
                        "offered_at=excluded.offered_at,head=excluded.head"),
          bundle_delete(db, "DELETE FROM bundles WHERE id=?"),
          range_insert(db,
                       "INSERT INTO ranges VALUES (?,?,?,?,?,?) ON CONFLICT DO UPDATE SET "
                       "length=excluded.length,hole=excluded.hole"),
          range_list(db,
                     "SELECT file_offset,length,hole FROM ranges WHERE dataset=? AND key=? AND object=? "
                     "ORDER BY file_offset"),
          range_delete(db, "DELETE FROM ranges WHERE dataset=? AND key=?"),
          lose_metadata(
              db, "UPDATE objects SET attributes=? WHERE dataset=? AND key=? AND kind=1 AND published=1"),
          may_be_gone(db, "UPDATE objects SET published=0 WHERE dataset=? AND key=?"),
          dataset_set(
              db,
              "UPDATE datasets SET target_store=?,w_disc=?,w_xfer=?,w_dur=?,w_pub=?,sweeps=?,objects_total=?,"
              "bytes_total=?,root_device=?,root_inode=?,order_run=?,order_number=? WHERE id=?") {}
    Statement object_get, object_offer, doubt, inode_list, object_publish, object_delete, unsettle,
        bundle_insert, bundle_delete, range_insert, range_list, range_delete, lose_metadata, may_be_gone,
        dataset_set;
};

StateStore::StateStore(Database database)
    : database_(std::move(database)),
      batch_(database_, behind_),
      prepared_(std::make_unique<Prepared>(database_)) {}

StateStore::~StateStore() {
    commit();
}

Result<std::unique_ptr<StateStore>> StateStore::open(const std::string& path) {
    auto database = Database::open(path, false);
    if (!database) return database.error();
    for (const char* pragma :
         {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA cache_size=-16384"}) {
        if (auto done = database.value().try_execute(pragma); !done) return done.error();
    }
    if (auto done = migrate(database.value()); !done) return done.error();
    return std::unique_ptr<StateStore>(new StateStore(std::move(database).value()));
}

void StateStore::reading() {
    if (!behind_.at_rest() || !batch_.empty()) return writing();
    if (open_ != Transaction::none) return;
    database_.execute("BEGIN");
    open_ = Transaction::reads;
}

void StateStore::writing() {
    behind_.rest();
    if (open_ == Transaction::reads) database_.execute("COMMIT");
    if (open_ != Transaction::writes) database_.execute("BEGIN IMMEDIATE");
    open_ = Transaction::writes;
    batch_.write();
}

void StateStore::gathering(std::int64_t dataset) {
    if (open_ != Transaction::writes || !batch_.takes(dataset)) writing();
}

void StateStore::write_later(std::function<void()> write) {
    if (behind_.at_rest()) {
        writing();
        return write();
    }
    batch_.post();  // it may be about these rows
    behind_.post(std::move(write));
}

void StateStore::commit() {
    if (!behind_.at_rest() || !batch_.empty()) writing();
    if (open_ == Transaction::none) return;
    database_.execute("COMMIT");
    open_ = Transaction::none;
}

std::int64_t StateStore::dataset_add(const DatasetRecord& record) {
    writing();
    Statement insert(database_,
                     "INSERT INTO datasets (name,source,target_site,target_directory,mode,consistency,"
                     "rpo_target_s,traffic,rescan_s,link,target_store,created,delete_hold_share,"
                     "delete_hold_objects,floor_bps,cap_bps,weight,expect_change_bps,expect_burst_bytes) "
                     "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    const auto& spec = record.spec;
    insert.bind_text(spec.name)
        .bind_text(spec.source)
        .bind_text(spec.target.site)
        .bind_text(spec.target.store);
    insert.bind(static_cast<std::int64_t>(spec.mode)).bind(static_cast<std::int64_t>(spec.consistency));
    insert.bind(spec.rpo_target_s).bind_text(spec.traffic).bind(spec.rescan_s).bind_text(spec.link);
    insert.bind(record.target_store).bind(record.created);
    insert.bind(spec.delete_hold_share).bind(spec.delete_hold_objects);
    insert.bind(spec.floor_bps).bind(spec.cap_bps).bind(spec.weight);
    insert.bind(spec.expect_change_bps).bind(spec.expect_burst_bytes);
    insert.run();
    return database_.last_insert_rowid();
}

void StateStore::dataset_update(const DatasetRecord& record) {
    const DatasetProgress& now = record;
    write_later([this, now, id = record.id] {
        auto& set = prepared_->dataset_set;
        set.bind(now.target_store).bind(now.watermarks.w_disc).bind(now.watermarks.w_xfer);
        set.bind(now.watermarks.w_dur).bind(now.watermarks.w_pub).bind(now.sweeps);
        set.bind(now.objects_total).bind(now.bytes_total).bind(now.root_device).bind(now.root_inode);
        set.bind(now.order_run).bind(now.order_number).bind(id).run();
    });
}

void StateStore::dataset_link_set(std::int64_t id, const std::string& link) {
    writing();
    Statement(database_, "UPDATE datasets SET link=? WHERE id=?").bind_text(link).bind(id).run();
}

void StateStore::dataset_policy(const DatasetRecord& record) {
    writing();
    Statement set(database_, "UPDATE datasets SET floor_bps=?,cap_bps=?,weight=? WHERE id=?");
    set.bind(record.spec.floor_bps).bind(record.spec.cap_bps).bind(record.spec.weight).bind(record.id).run();
}

void StateStore::dataset_remove(std::int64_t id) {
    writing();
    for (const char* sql : {"DELETE FROM objects WHERE dataset=?", "DELETE FROM bundles WHERE dataset=?",
                            "DELETE FROM ranges WHERE dataset=?", "DELETE FROM verifications WHERE dataset=?",
                            "DELETE FROM datasets WHERE id=?"}) {
        Statement(database_, sql).bind(id).run();
    }
}

std::vector<DatasetRecord> StateStore::datasets() {
    reading();
    Statement query(
        database_,
        "SELECT id,name,source,target_site,target_directory,mode,consistency,rpo_target_s,"
        "traffic,rescan_s,link,target_store,created,w_disc,w_dur,w_pub,sweeps,objects_total,"
        "bytes_total,root_device,root_inode,delete_hold_share,delete_hold_objects,floor_bps,"
        "cap_bps,weight,expect_change_bps,expect_burst_bytes,w_xfer,order_run,order_number FROM datasets "
        "ORDER BY id");
    std::vector<DatasetRecord> records;
    while (query.step()) {
        DatasetRecord record;
        record.id = query.integer(0);
        record.spec.name = query.text(1);
        record.spec.source = query.text(2);
        record.spec.target = {query.text(3), query.text(4)};
        record.spec.mode = static_cast<Mode>(query.integer(5));
        record.spec.consistency = static_cast<Consistency>(query.integer(6));
        record.spec.rpo_target_s = query.real(7);
        record.spec.traffic = query.text(8);
        record.spec.rescan_s = query.real(9);
        record.spec.link = query.text(10);
        record.target_store = query.number(11);
        record.created = query.integer(12);
        record.watermarks = {query.optional_integer(13), query.optional_integer(28),
                             query.optional_integer(14), query.optional_integer(15)};
        record.sweeps = static_cast<std::uint32_t>(query.integer(16));
        record.objects_total = query.number(17);
        record.bytes_total = query.number(18);
        record.root_device = query.number(19);
        record.root_inode = query.number(20);
        record.spec.delete_hold_share = query.real(21);
        record.spec.delete_hold_objects = query.number(22);
        record.spec.floor_bps = query.number(23);
        record.spec.cap_bps = query.number(24);
        record.spec.weight = query.real(25);
        record.spec.expect_change_bps = query.number(26);
        record.spec.expect_burst_bytes = query.number(27);
        record.order_run = query.number(29);
        record.order_number = query.number(30);
        records.push_back(std::move(record));
    }
    return records;
}

void StateStore::target_put(const TargetRecord& record) {
    writing();
    Statement put(database_,
                  "INSERT INTO targets VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (store) DO UPDATE SET "
                  "rpo_target_s=excluded.rpo_target_s,rescan_s=excluded.rescan_s,w_pub=excluded.w_pub,"
                  "marked=excluded.marked");
    put.bind(record.store).bind_text(record.site).bind_text(record.dataset).bind_text(record.directory);
    put.bind(record.rpo_target_s).bind(record.rescan_s).bind(record.accepted).bind(record.w_pub);
    put.bind(std::int64_t{record.marked ? 1 : 0});
    put.run();
}

void StateStore::target_remove(std::uint64_t store) {
    writing();
    Statement(database_, "DELETE FROM targets WHERE store=?").bind(store).run();
}

void StateStore::release_put(const ReleaseRecord& record) {
    writing();
    Statement(database_, "INSERT OR REPLACE INTO releases VALUES (?,?,?)")
        .bind(record.store)
        .bind_text(record.site)
        .bind_text(record.dataset)
        .run();
}

void StateStore::release_done(std::uint64_t store) {
    writing();
    Statement(database_, "DELETE FROM releases WHERE store=?").bind(store).run();
}

std::vector<ReleaseRecord> StateStore::releases() {
    reading();
    Statement query(database_, "SELECT store,site,dataset FROM releases ORDER BY store");
    std::vector<ReleaseRecord> records;
    while (query.step())
        records.push_back({query.number(0), query.text(1), query.text(2)});
    return records;
}

std::vector<TargetRecord> StateStore::targets() {
    reading();
    Statement query(
        database_,
        "SELECT store,site,dataset,directory,rpo_target_s,rescan_s,accepted,w_pub,marked FROM targets "
        "ORDER BY accepted");
    std::vector<TargetRecord> records;
    while (query.step()) {
        records.push_back({query.number(0), query.text(1), query.text(2), query.text(3), query.real(4),
                           query.real(5), query.integer(6), query.optional_integer(7),
                           query.integer(8) != 0});
    }
    return records;
}

std::optional<ObjectRecord> StateStore::object(std::int64_t dataset, std::string_view path) {
    reading();
    const std::string key = key_of_path(path);
    auto& get = prepared_->object_get;
    get.bind(dataset).bind_blob(key);
    Rows rows(get);
    if (!rows.next()) return std::nullopt;
    return object_from(get, 0);
}

std::vector<std::string> StateStore::names_of(std::int64_t dataset, const Fingerprint& print) {
    reading();
    auto& list = prepared_->inode_list;
    list.bind(dataset).bind(print.inode).bind(kNamesLooked);
    Rows rows(list);
    std::vector<std::string> paths;
    while (rows.next()) {
        const ObjectRecord record = object_from(list, 1);
        const bool racy = record.print.ctime_ns == 0;  // written to later, perhaps, and nobody could tell
        if (!racy && same_file(record.print, print)) paths.push_back(path_of_key(list.view(0)));
    }
    return paths;
}

void StateStore::object_offered(std::int64_t dataset, std::string_view path, ObjectKind kind) {
    writing();
    const std::string key = key_of_path(path);
    prepared_->object_offer.bind(dataset).bind_blob(key).bind(static_cast<std::int64_t>(kind)).run();
}

void StateStore::object_first_offered(std::int64_t dataset, std::string_view path, const Fingerprint& print,
                                      std::string_view link) {
    gathering(dataset);
    batch_.offer(dataset, key_of_path(path), print, link);
}

void StateStore::object_published_as_offered(std::int64_t dataset, std::string_view path) {
    gathering(dataset);
    batch_.publish(dataset, key_of_path(path));
}

void StateStore::object_in_doubt(std::int64_t dataset, std::string_view path) {
    writing();
    const std::string key = key_of_path(path);
    prepared_->doubt.bind(kMtimeUnsettled).bind(dataset).bind_blob(key).run();
}

void StateStore::object_published(std::int64_t dataset, std::string_view path, const Fingerprint& print,
                                  std::string_view link) {
    writing();
    const std::string key = key_of_path(path);
    auto& put = prepared_->object_publish;
    bind_object(put, print, link).bind(dataset).bind_blob(key).run();
    if (database_.changes() > 0) return;
    object_offered(dataset, path, print.kind);  // a row is there as a rule: it was offered
    bind_object(put, print, link).bind(dataset).bind_blob(key).run();
}

void StateStore::object_forget(std::int64_t dataset, std::string_view path) {
    writing();
    const std::string key = key_of_path(path);
    prepared_->object_delete.bind(dataset).bind_blob(key).run();
}

void StateStore::metadata_lost(std::int64_t dataset, std::string_view path) {
    writing();
    const std::string key = key_of_path(path);
    prepared_->lose_metadata.bind(static_cast<std::int64_t>(kMetadataLost))
        .bind(dataset)
        .bind_blob(key)
        .run();
}

void StateStore::object_may_be_gone(std::int64_t dataset, std::string_view path) {
    writing();
    const std::string key = key_of_path(path);
    prepared_->may_be_gone.bind(dataset).bind_blob(key).run();
}

void StateStore::directory_unsettle(std::int64_t dataset, std::string_view path) {
    write_later([this, dataset, key = key_of_path(path)] {
        prepared_->unsettle.bind(kMtimeUnsettled).bind(dataset).bind_blob(key).run();
    });
}

PublishedTotals StateStore::published_totals(std::int64_t dataset) {
    reading();
    Statement query(database_,
                    "SELECT COUNT(*), COALESCE(SUM(CASE WHEN kind=1 THEN size ELSE 0 END),0), "
                    "COALESCE(MAX(CASE WHEN kind=1 THEN birth_ns ELSE 0 END),0) FROM objects "
                    "WHERE dataset=? AND published=1");
    query.bind(dataset).step();
    return {query.number(0), query.number(1), query.integer(2)};
}

void StateStore::objects_forget_published(std::int64_t dataset) {
    writing();
    Statement(database_, "UPDATE objects SET published=0 WHERE dataset=?").bind(dataset).run();
    Statement(database_, "DELETE FROM ranges WHERE dataset=?").bind(dataset).run();
}

void StateStore::bundle_put(BundleRecord record) {
    write_later([this, bundle = std::make_shared<const BundleRecord>(std::move(record))] {
        const auto id = id_bytes(bundle->id);
        const auto notes = notes_bytes(bundle->notes);
        auto& put = prepared_->bundle_insert;
        put.bind_blob(id).bind(bundle->dataset).bind(static_cast<std::int64_t>(bundle->link));
        put.bind(bundle->generation).bind(bundle->offered_at).bind_blob(bundle->head).bind_blob(notes).run();
    });
}

void StateStore::bundle_remove(const wire::BundleId& id) {
    write_later([this, id] {
        const auto bytes = id_bytes(id);
        prepared_->bundle_delete.bind_blob(bytes).run();
    });
}

std::vector<BundleRecord> StateStore::bundles(std::int64_t dataset) {
    reading();
    Statement query(database_,
                    "SELECT id,dataset,link,generation,offered_at,head,notes FROM bundles WHERE dataset=? "
                    "ORDER BY offered_at");
    query.bind(dataset);
    std::vector<BundleRecord> records;
    while (query.step()) {
        BundleRecord record;
        record.id = id_from(query.view(0));
        record.dataset = query.integer(1);
        record.link = static_cast<std::uint8_t>(query.integer(2));
        record.generation = static_cast<std::uint32_t>(query.integer(3));
        record.offered_at = query.integer(4);
        const auto head = as_bytes(query.view(5));
        record.head.assign(head.begin(), head.end());
        record.notes = notes_from(query.view(6));
        records.push_back(std::move(record));
    }
    return records;
}

void StateStore::range_put(std::int64_t dataset, std::string_view path, const wire::ObjectKey& object,
                           const RangeRecord& range) {
    writing();
    const std::string key = key_of_path(path);
    const auto version = id_bytes(object);
    auto& put = prepared_->range_insert;
    put.bind(dataset).bind_blob(key).bind_blob(version).bind(range.offset).bind(range.length);
    put.bind(std::int64_t{range.hole ? 1 : 0}).run();
}

std::vector<RangeRecord> StateStore::ranges(std::int64_t dataset, std::string_view path,
                                            const wire::ObjectKey& object) {
    reading();
    const std::string key = key_of_path(path);
    const auto version = id_bytes(object);
    auto& list = prepared_->range_list;
    list.bind(dataset).bind_blob(key).bind_blob(version);
    Rows rows(list);
    std::vector<RangeRecord> ranges;
    while (rows.next())
        ranges.push_back({list.number(0), list.number(1), list.integer(2) != 0});
    return ranges;
}

void StateStore::ranges_forget(std::int64_t dataset, std::string_view path) {
    writing();
    const std::string key = key_of_path(path);
    prepared_->range_delete.bind(dataset).bind_blob(key).run();
}

Result<std::unique_ptr<ObjectCursor>> ObjectCursor::open(const std::string& path, std::int64_t dataset) {
    auto database = Database::open(path, true);
    if (!database) return database.error();
    return std::unique_ptr<ObjectCursor>(new ObjectCursor(std::move(database).value(), dataset));
}

ObjectCursor::ObjectCursor(Database database, std::int64_t dataset)
    : database_(std::move(database)),
      dataset_(dataset),
      to_last_(database_,
               "SELECT key," + kObjectColumns + " FROM objects WHERE dataset=? AND key>=? ORDER BY key"),
      to_end_(database_, "SELECT key," + kObjectColumns +
                             " FROM objects WHERE dataset=? AND key>=? AND key<? ORDER BY key") {}

void ObjectCursor::restart(const std::string& first_key, const std::string& end_key) {
    end();
    first_ = first_key;
    end_ = end_key;
    query_ = end_.empty() ? &to_last_ : &to_end_;
    query_->bind(dataset_).bind_blob(first_);
    if (!end_.empty()) query_->bind_blob(end_);
    next();
}

void ObjectCursor::end() {
    if (query_ != nullptr) query_->reset();
    query_ = nullptr;
    valid_ = false;
}

void ObjectCursor::next() {
    valid_ = query_->step();
    if (!valid_) return;
    key_.assign(query_->view(0));
    record_ = object_from(*query_, 1);
}

}  // namespace longhaul::control
