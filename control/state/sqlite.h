// SQLite behind RAII: a connection, a prepared statement, a reset at the end of its use. One thread at a
// time.
//
// Opening can fail and says why. Once open, a statement that cannot be executed (disk full, file corrupt)
// ends the process: control must never acknowledge what it could not record, and it may die without stopping
// a byte in flight.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "dataplane/base/bytes.h"
#include "dataplane/base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace longhaul::control {

class Statement;

class Database {
  public:
    static Result<Database> open(const std::string& path, bool read_only);
    Database(Database&&) noexcept;
    Database& operator=(Database&&) noexcept;
    ~Database();

    Result<void> try_execute(
        const char* sql);  // for what may fail for an operator's reason: opening, migrating
    void execute(const char* sql);
    std::int64_t last_insert_rowid() const;
    std::int64_t changes() const;  // rows the last statement touched
    sqlite3* handle() const { return handle_; }
    const std::string& path() const { return path_; }

  private:
    Database(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}
    sqlite3* handle_ = nullptr;
    std::string path_;
};

// Parameters are bound from 1 in the order of the calls. Text and blobs are borrowed until reset().
class Statement {
  public:
    Statement(Database& database, const std::string& sql);
    Statement(Statement&&) noexcept;
    Statement& operator=(Statement&&) = delete;
    ~Statement();

    Statement& bind(std::int64_t value);
    Statement& bind(std::uint64_t value) { return bind(static_cast<std::int64_t>(value)); }
    Statement& bind(std::uint32_t value) { return bind(static_cast<std::int64_t>(value)); }
    Statement& bind(double value);
    Statement& bind_text(std::string_view value);
    Statement& bind_blob(std::string_view value);
    Statement& bind_blob(ByteView value) { return bind_blob(as_text(value)); }
    Statement& bind(std::optional<std::int64_t> value);
    Statement& bind_real(std::optional<double> value);

    bool step();  // true: a row is there
    void run();   // executes to the end and resets
    void reset();

    bool is_null(int column) const;
    std::int64_t integer(int column) const;
    std::uint64_t number(int column) const { return static_cast<std::uint64_t>(integer(column)); }
    double real(int column) const;
    std::string text(int column) const { return std::string(view(column)); }
    std::string_view view(int column) const;  // text or blob; valid until the next step or reset
    std::optional<std::int64_t> optional_integer(int column) const;

  private:
    [[noreturn]] void fail(const char* doing) const;
    sqlite3* database_ = nullptr;
    sqlite3_stmt* statement_ = nullptr;
    int bound_ = 0;
};

// Resets a statement when the reader of its rows leaves, however it leaves.
class Rows {
  public:
    explicit Rows(Statement& statement) : statement_(statement) {}
    ~Rows() { statement_.reset(); }
    Rows(const Rows&) = delete;
    Rows& operator=(const Rows&) = delete;
    bool next() { return statement_.step(); }

  private:
    Statement& statement_;
};

}  // namespace longhaul::control
