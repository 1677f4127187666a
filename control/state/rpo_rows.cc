// The rows that remember what was measured and said: events, breaches, attainment, clocks. All bounded.
// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "control/rpo/event_log.h"
#include "control/state/state_store.h"

namespace longhaul::control {

namespace {

constexpr std::int64_t kBreachesKept = 10'000;

std::optional<double> optional_real(Statement& row, int column) {
    return row.is_null(column) ? std::nullopt : std::optional(row.real(column));
}

Breach breach_from(Statement& row) {
    Breach breach;
    breach.id = row.integer(0);
    breach.subject = row.text(1);
    breach.dataset = row.text(2);
    breach.site = row.text(3);
    breach.role = row.text(4);
    breach.started = row.integer(5);
    breach.ended = row.optional_integer(6);
    breach.rpo_target_s = row.real(7);
    breach.peak_lag_s = row.real(8);
    breach.stage = row.text(9);
    breach.cause = row.text(10);
    return breach;
}

}  // namespace

std::uint64_t StateStore::event_add(const Event& event) {
    writing();
    Statement insert(database_,
                     "INSERT INTO events (at,kind,dataset,site,role,text,stage,object,who,rpo_target_s,lag_s,"
                     "peak_lag_s,duration_s,watermark) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    insert.bind(event.at).bind_text(event.kind).bind_text(event.dataset).bind_text(event.site);
    insert.bind_text(event.role).bind_text(event.text).bind_text(event.stage).bind_text(event.object);
    insert.bind_text(event.who).bind_real(event.rpo_target_s).bind_real(event.lag_s);
    insert.bind_real(event.peak_lag_s).bind_real(event.duration_s).bind(event.watermark);
    insert.run();
    const auto id = database_.last_insert_rowid();
    Statement(database_, "DELETE FROM events WHERE id<=?")
        .bind(id - static_cast<std::int64_t>(EventLog::kKept))
        .run();
    return static_cast<std::uint64_t>(id);
}

std::vector<Event> StateStore::events() {
    reading();
    Statement query(database_,
                    "SELECT id,at,kind,dataset,site,role,text,stage,object,who,rpo_target_s,lag_s,peak_lag_s,"
                    "duration_s,watermark FROM events ORDER BY id");
    std::vector<Event> events;
    while (query.step()) {
        Event event{query.number(0),
                    query.integer(1),
                    query.text(2),
                    query.text(3),
                    query.text(4),
                    query.text(5),
                    query.text(6),
                    query.text(7),
                    query.text(8),
                    query.text(9),
                    {},
                    {},
                    {},
                    {},
                    query.optional_integer(14)};
        event.rpo_target_s = optional_real(query, 10);
        event.lag_s = optional_real(query, 11);
        event.peak_lag_s = optional_real(query, 12);
        event.duration_s = optional_real(query, 13);
        events.push_back(std::move(event));
    }
    return events;
}

std::int64_t StateStore::breach_put(const Breach& breach) {
    writing();
    if (breach.id == 0) {
        Statement insert(
            database_,
            "INSERT INTO breaches (subject,dataset,site,role,started,ended,rpo_target_s,peak_lag_s,"
            "stage,cause) VALUES (?,?,?,?,?,?,?,?,?,?)");
        insert.bind_text(breach.subject)
            .bind_text(breach.dataset)
            .bind_text(breach.site)
            .bind_text(breach.role);
        insert.bind(breach.started).bind(breach.ended).bind(breach.rpo_target_s).bind(breach.peak_lag_s);
        insert.bind_text(breach.stage).bind_text(breach.cause);
        insert.run();
        const auto id = database_.last_insert_rowid();
        Statement(database_, "DELETE FROM breaches WHERE id<=?").bind(id - kBreachesKept).run();
        return id;
    }
    Statement set(database_, "UPDATE breaches SET ended=?,peak_lag_s=?,stage=? WHERE id=?");
    set.bind(breach.ended).bind(breach.peak_lag_s).bind_text(breach.stage).bind(breach.id).run();
    return breach.id;
}

std::vector<Breach> StateStore::breaches(std::size_t most) {
    reading();
    Statement query(database_,
                    "SELECT id,subject,dataset,site,role,started,ended,rpo_target_s,peak_lag_s,stage,cause "
                    "FROM breaches ORDER BY id DESC LIMIT ?");
    query.bind(static_cast<std::int64_t>(most));
    std::vector<Breach> breaches;
    while (query.step())
        breaches.push_back(breach_from(query));
    return breaches;
}

std::optional<Breach> StateStore::open_breach(const std::string& subject) {
    reading();
    Statement query(database_,
                    "SELECT id,subject,dataset,site,role,started,ended,rpo_target_s,peak_lag_s,stage,cause "
                    "FROM breaches WHERE subject=? AND ended IS NULL ORDER BY id DESC LIMIT 1");
    query.bind_text(subject);
    if (!query.step()) return std::nullopt;
    return breach_from(query);
}

void StateStore::slo_put(const std::string& subject, const SloSlot& slot) {
    writing();
    Statement put(
        database_,
        "INSERT INTO slo_slots VALUES (?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET good=excluded.good,"
        "missed=excluded.missed,seeding=excluded.seeding,changes=excluded.changes,"
        "changes_late=excluded.changes_late,bytes=excluded.bytes,bytes_late=excluded.bytes_late,"
        "lag_max_s=excluded.lag_max_s");
    put.bind_text(subject)
        .bind(slot.minutes)
        .bind(slot.start)
        .bind(slot.good)
        .bind(slot.missed)
        .bind(slot.seeding);
    put.bind(slot.counts.changes).bind(slot.counts.late).bind(slot.counts.bytes).bind(slot.counts.bytes_late);
    put.bind(slot.lag_max_s).run();
}

void StateStore::slo_forget_before(const std::string& subject, std::int64_t minutes, std::int64_t start) {
    writing();
    Statement(database_, "DELETE FROM slo_slots WHERE subject=? AND minutes=? AND start<?")
        .bind_text(subject)
        .bind(minutes)
        .bind(start)
        .run();
}

std::vector<SloSlot> StateStore::slo_slots(const std::string& subject) {
    reading();
    Statement query(
        database_,
        "SELECT minutes,start,good,missed,seeding,changes,changes_late,bytes,bytes_late,lag_max_s "
        "FROM slo_slots WHERE subject=? ORDER BY minutes,start");
    query.bind_text(subject);
    std::vector<SloSlot> slots;
    while (query.step())
        slots.push_back({query.integer(0),
                         query.integer(1),
                         query.number(2),
                         query.number(3),
                         query.number(4),
                         {query.number(5), query.number(6), query.number(7), query.number(8)},
                         query.real(9)});
    return slots;
}

void StateStore::watch_forget(const std::string& subject, WallNs now) {
    writing();
    Statement(database_, "DELETE FROM slo_slots WHERE subject=?").bind_text(subject).run();
    Statement(database_, "UPDATE breaches SET ended=? WHERE subject=? AND ended IS NULL")
        .bind(now)
        .bind_text(subject)
        .run();
}

void StateStore::peer_clock_put(const std::string& site, const ClockEstimate& clock) {
    writing();
    Statement put(
        database_,
        "INSERT INTO peer_clocks VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET offset_ns=excluded.offset_ns,"
        "uncertainty_ns=excluded.uncertainty_ns,measured_at=excluded.measured_at");
    put.bind_text(site).bind(clock.offset_ns).bind(clock.uncertainty_ns).bind(clock.measured_at).run();
}

void StateStore::own_clock_put(const std::string& prefix, const std::string& name,
                               const ClockEstimate& clock) {
    writing();
    Statement(database_, "DELETE FROM peer_clocks WHERE substr(site,1,length(?))=?")
        .bind_text(prefix)
        .bind_text(prefix)
        .run();
    peer_clock_put(name, clock);
}

std::map<std::string, ClockEstimate> StateStore::peer_clocks() {
    reading();
    Statement query(database_, "SELECT site,offset_ns,uncertainty_ns,measured_at FROM peer_clocks");
    std::map<std::string, ClockEstimate> clocks;
    while (query.step())
        clocks[query.text(0)] = {query.integer(1), query.integer(2), query.integer(3)};
    return clocks;
}

}  // namespace longhaul::control
