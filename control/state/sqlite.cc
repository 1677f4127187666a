// How SQLite's return codes become results, or the end of the process.
// SPDX-License-Identifier: Apache-2.0
#include "control/state/sqlite.h"

#include <sqlite3.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace longhaul::control {

namespace {

[[noreturn]] void state_is_lost(const char* doing, sqlite3* handle) {
    const char* path = handle != nullptr ? sqlite3_db_filename(handle, "main") : "";
    std::fprintf(
        stderr,
        "longhaul-control: cannot %s the state in %s: %s. The process ends so that nothing is acknowledged "
        "that is not recorded; free space or repair the disk and start it again.\n",
        doing, path != nullptr ? path : "", handle != nullptr ? sqlite3_errmsg(handle) : "out of memory");
    std::fflush(stderr);
    std::abort();
}

}  // namespace

Result<Database> Database::open(const std::string& path, bool read_only) {
    // Its memory is not counted: every allocation of every thread would take one lock for it. Before the first use, or void.
    static const int uncounted = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    static_cast<void>(uncounted);
    const int flags = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    sqlite3* handle = nullptr;
    if (sqlite3_open_v2(path.c_str(), &handle, flags | SQLITE_OPEN_NOMUTEX, nullptr) != SQLITE_OK) {
        std::string why = handle != nullptr ? sqlite3_errmsg(handle) : "out of memory";
        sqlite3_close(handle);
        return Error{ErrorCode::io_error, "cannot open the state store " + path + ": " + why};
    }
    Database database(handle, path);
    sqlite3_busy_timeout(handle, 10'000);
    sqlite3_extended_result_codes(handle, 1);
    return database;
}

Database::Database(Database&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), path_(std::move(other.path_)) {}

Database& Database::operator=(Database&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(path_, other.path_);
    return *this;
}

Database::~Database() {
    if (handle_ != nullptr) sqlite3_close_v2(handle_);
}

Result<void> Database::try_execute(const char* sql) {
    char* message = nullptr;
    if (sqlite3_exec(handle_, sql, nullptr, nullptr, &message) == SQLITE_OK) return {};
    std::string why = message != nullptr ? message : "unknown";
    sqlite3_free(message);
    return Error{ErrorCode::io_error, "state store " + path_ + ": " + why};
}

void Database::execute(const char* sql) {
    if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) state_is_lost("write", handle_);
}

std::int64_t Database::last_insert_rowid() const {
    return sqlite3_last_insert_rowid(handle_);
}
std::int64_t Database::changes() const {
    return sqlite3_changes64(handle_);
}

Statement::Statement(Database& database, const std::string& sql) : database_(database.handle()) {
    if (sqlite3_prepare_v3(database_, sql.c_str(), -1, SQLITE_PREPARE_PERSISTENT, &statement_, nullptr) !=
        SQLITE_OK)
        fail("understand");
}

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_),
      statement_(std::exchange(other.statement_, nullptr)),
      bound_(std::exchange(other.bound_, 0)) {}

Statement::~Statement() {
    sqlite3_finalize(statement_);
}

void Statement::fail(const char* doing) const {
    state_is_lost(doing, database_);
}

Statement& Statement::bind(std::int64_t value) {
    if (sqlite3_bind_int64(statement_, ++bound_, value) != SQLITE_OK) fail("write");
    return *this;
}

Statement& Statement::bind(double value) {
    if (sqlite3_bind_double(statement_, ++bound_, value) != SQLITE_OK) fail("write");
    return *this;
}

Statement& Statement::bind_text(std::string_view value) {
    // An empty view may carry a null pointer, which SQLite would store as NULL.
    const char* data = value.empty() ? "" : value.data();
    if (sqlite3_bind_text64(statement_, ++bound_, data, value.size(), SQLITE_STATIC, SQLITE_UTF8) !=
        SQLITE_OK)
        fail("write");
    return *this;
}

Statement& Statement::bind_blob(std::string_view value) {
    const char* data = value.empty() ? "" : value.data();
    if (sqlite3_bind_blob64(statement_, ++bound_, data, value.size(), SQLITE_STATIC) != SQLITE_OK)
        fail("write");
    return *this;
}

Statement& Statement::bind(std::optional<std::int64_t> value) {
    if (value) return bind(*value);
    if (sqlite3_bind_null(statement_, ++bound_) != SQLITE_OK) fail("write");
    return *this;
}

Statement& Statement::bind_real(std::optional<double> value) {
    return value ? bind(*value) : bind(std::optional<std::int64_t>());
}

bool Statement::step() {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code != SQLITE_DONE) fail("read or write");
    return false;
}

void Statement::run() {
    while (step()) {
    }
    reset();
}

void Statement::reset() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
    bound_ = 0;
}

std::int64_t Statement::integer(int column) const {
    return sqlite3_column_int64(statement_, column);
}
double Statement::real(int column) const {
    return sqlite3_column_double(statement_, column);
}

std::string_view Statement::view(int column) const {
    const void* data = sqlite3_column_blob(statement_, column);
    const int bytes = sqlite3_column_bytes(statement_, column);
    return data == nullptr
               ? std::string_view()
               : std::string_view(static_cast<const char*>(data), static_cast<std::size_t>(bytes));
}

bool Statement::is_null(int column) const {
    return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

std::optional<std::int64_t> Statement::optional_integer(int column) const {
    if (is_null(column)) return std::nullopt;
    return integer(column);
}

}  // namespace longhaul::control
