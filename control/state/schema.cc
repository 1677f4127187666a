// One SQL text per version; a file's user_version says how many have been applied to it.
// SPDX-License-Identifier: Apache-2.0
#include "control/state/schema.h"

#include <array>
#include <string>

namespace longhaul::control {

namespace {

// `objects.key` is the path with every '/' replaced by a zero byte, which no path can contain: so the order
// of the table is the order of a walk that visits a directory, then its content, then its next sibling
// (capture/sweep).
constexpr std::array<const char*, 11> kMigrations = {
    R"sql(
CREATE TABLE datasets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL,
    target_site TEXT NOT NULL,
    target_directory TEXT NOT NULL,
    mode INTEGER NOT NULL,
    consistency INTEGER NOT NULL,
    rpo_target_s REAL NOT NULL,
    traffic TEXT NOT NULL,
    rescan_s REAL NOT NULL,
    link TEXT NOT NULL,
    target_store INTEGER NOT NULL,
    created INTEGER NOT NULL,
    w_disc INTEGER, w_dur INTEGER, w_pub INTEGER,
    sweeps INTEGER NOT NULL DEFAULT 0,
    objects_total INTEGER NOT NULL DEFAULT 0,
    bytes_total INTEGER NOT NULL DEFAULT 0,
    root_device INTEGER NOT NULL DEFAULT 0,
    root_inode INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE targets (
    store INTEGER PRIMARY KEY,
    site TEXT NOT NULL,
    dataset TEXT NOT NULL,
    directory TEXT NOT NULL UNIQUE,
    rpo_target_s REAL NOT NULL,
    rescan_s REAL NOT NULL,
    accepted INTEGER NOT NULL,
    w_pub INTEGER,
    UNIQUE (site, dataset)
) STRICT;
CREATE TABLE objects (
    dataset INTEGER NOT NULL,
    key BLOB NOT NULL,
    kind INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mode INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    link BLOB NOT NULL,
    published INTEGER NOT NULL,
    PRIMARY KEY (dataset, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE bundles (
    id BLOB PRIMARY KEY,
    dataset INTEGER NOT NULL,
    link INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    offered_at INTEGER NOT NULL,
    head BLOB NOT NULL,
    notes BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE ranges (
    dataset INTEGER NOT NULL,
    key BLOB NOT NULL,
    object BLOB NOT NULL,
    file_offset INTEGER NOT NULL,
    length INTEGER NOT NULL,
    PRIMARY KEY (dataset, key, object, file_offset)
) STRICT, WITHOUT ROWID;
)sql",
    R"sql(
ALTER TABLE datasets ADD COLUMN delete_hold_share REAL NOT NULL DEFAULT 0.01;
ALTER TABLE datasets ADD COLUMN delete_hold_objects INTEGER NOT NULL DEFAULT 10000;
)sql",
    // What the scheduler goes by.
    R"sql(
ALTER TABLE datasets ADD COLUMN floor_bps INTEGER NOT NULL DEFAULT 0;
ALTER TABLE datasets ADD COLUMN cap_bps INTEGER NOT NULL DEFAULT 0;
ALTER TABLE datasets ADD COLUMN weight REAL NOT NULL DEFAULT 1;
ALTER TABLE datasets ADD COLUMN expect_change_bps INTEGER NOT NULL DEFAULT 0;
ALTER TABLE datasets ADD COLUMN expect_burst_bytes INTEGER NOT NULL DEFAULT 0;
)sql",
    // RPO: a fourth watermark, what was measured of it over time, and what was said about it.
    R"sql(
ALTER TABLE datasets ADD COLUMN w_xfer INTEGER;
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    dataset TEXT NOT NULL,
    site TEXT NOT NULL,
    role TEXT NOT NULL,
    text TEXT NOT NULL,
    stage TEXT NOT NULL,
    object TEXT NOT NULL,
    who TEXT NOT NULL,
    rpo_target_s REAL, lag_s REAL, peak_lag_s REAL, duration_s REAL,
    watermark INTEGER
) STRICT;
CREATE TABLE breaches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    subject TEXT NOT NULL,
    dataset TEXT NOT NULL,
    site TEXT NOT NULL,
    role TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,
    rpo_target_s REAL NOT NULL,
    peak_lag_s REAL NOT NULL,
    stage TEXT NOT NULL,
    cause TEXT NOT NULL
) STRICT;
CREATE TABLE slo_slots (
    subject TEXT NOT NULL,
    minutes INTEGER NOT NULL,
    start INTEGER NOT NULL,
    good INTEGER NOT NULL,
    missed INTEGER NOT NULL,
    seeding INTEGER NOT NULL,
    changes INTEGER NOT NULL,
    changes_late INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    bytes_late INTEGER NOT NULL,
    lag_max_s REAL NOT NULL,
    PRIMARY KEY (subject, minutes, start)
) STRICT, WITHOUT ROWID;
CREATE TABLE peer_clocks (
    site TEXT PRIMARY KEY,
    offset_ns INTEGER NOT NULL,
    uncertainty_ns INTEGER NOT NULL,
    measured_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
)sql",
    // What travels beside mode and owner; -1: kAttributesUnknown.
    R"sql(
ALTER TABLE objects ADD COLUMN attributes INTEGER NOT NULL DEFAULT -1;
)sql",
    // What tells that a new name is one more, or the next, of a file that the target has.
    R"sql(
ALTER TABLE objects ADD COLUMN birth_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE objects ADD COLUMN names INTEGER NOT NULL DEFAULT 0;
CREATE INDEX objects_by_inode ON objects (dataset, inode) WHERE kind=1 AND published=1;
)sql",
    // Consistency `ordered`: the run of now and the last number given in it.
    R"sql(
ALTER TABLE datasets ADD COLUMN order_run INTEGER NOT NULL DEFAULT 1;
ALTER TABLE datasets ADD COLUMN order_number INTEGER NOT NULL DEFAULT 0;
)sql",
    // Which ranges nobody brings.
    R"sql(
ALTER TABLE ranges ADD COLUMN hole INTEGER NOT NULL DEFAULT 0;
)sql",
    // How far the comparison of both ends has come; whether a target's directory bears its store's mark.
    R"sql(
CREATE TABLE verifications (
    dataset INTEGER PRIMARY KEY,
    started INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    next_key BLOB NOT NULL,
    next_offset INTEGER NOT NULL,
    objects INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    differing INTEGER NOT NULL,
    missing INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    unreadable INTEGER NOT NULL
) STRICT;
ALTER TABLE targets ADD COLUMN marked INTEGER NOT NULL DEFAULT 0;
)sql",
    // Replicas whose datasets were removed here, until their site has heard of it.
    R"sql(
CREATE TABLE releases (
    store INTEGER PRIMARY KEY,
    site TEXT NOT NULL,
    dataset TEXT NOT NULL
) STRICT;
)sql",
    // How much of what differs is no byte.
    R"sql(
ALTER TABLE verifications ADD COLUMN metadata INTEGER NOT NULL DEFAULT 0;
)sql",
};

int version_of(Database& database) {
    Statement query(database, "PRAGMA user_version");
    query.step();
    return static_cast<int>(query.integer(0));
}

}  // namespace

int schema_version() {
    return static_cast<int>(kMigrations.size());
}

Result<void> migrate(Database& database, int wanted) {
    const int found = version_of(database);
    if (found > schema_version())
        return Error{ErrorCode::invalid_argument,
                     "the state store " + database.path() + " has schema version " + std::to_string(found) +
                         ", this program knows up to " + std::to_string(schema_version()) +
                         ": start the newer program, or move the file away to begin anew"};
    if (found >= wanted) return {};
    if (auto begun = database.try_execute("BEGIN IMMEDIATE"); !begun) return begun;
    for (int version = found; version < wanted; ++version) {
        if (auto done = database.try_execute(kMigrations[static_cast<std::size_t>(version)]); !done)
            return done;
    }
    const std::string stamp = "PRAGMA user_version = " + std::to_string(wanted);
    if (auto done = database.try_execute(stamp.c_str()); !done) return done;
    return database.try_execute("COMMIT");
}

}  // namespace longhaul::control
