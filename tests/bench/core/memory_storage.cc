// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/core/memory_storage.h"

#include <cstring>
#include <deque>

#include "dataplane/base/random.h"

namespace longhaul::bench {
namespace {

struct Completions {
    std::vector<storage::Event> ready;
    std::deque<std::uint64_t> writes;  // tokens, oldest first
    std::size_t held_writes_max = 0;
    storage::StorageStats stats;
};

class Reader final : public storage::BundleReader {
  public:
    Reader(Completions& completions, const wire::Manifest& manifest) : completions_(completions) {
        trailer_.id = manifest.id;
        trailer_.generation = manifest.generation;
        trailer_.verdicts.resize(manifest.entries.size());
    }
    void read(std::uint64_t, MutableByteView into, std::uint64_t token) override {
        completions_.stats.bytes_read += into.size();
        storage::Event event;
        event.token = token;
        completions_.ready.push_back(event);
    }
    void read_to_verify(std::uint64_t) override {}  // the bench offers nothing to verify
    wire::Trailer trailer() override { return trailer_; }

  private:
    Completions& completions_;
    wire::Trailer trailer_;
};

class Writer final : public storage::BundleWriter {
  public:
    explicit Writer(Completions& completions) : completions_(completions) {}
    void write(std::uint64_t, ByteView from, std::uint64_t token) override {
        completions_.stats.bytes_written += from.size();
        completions_.writes.push_back(token);
    }
    void finish(const wire::Trailer&, std::uint64_t token) override {
        for (const auto stage : {wire::Stage::durable, wire::Stage::published}) {
            storage::Event event;
            event.kind = storage::Event::Kind::bundle_stage;
            event.token = token;
            event.status.stage = stage;
            completions_.ready.push_back(event);
        }
    }
    void release() override {}  // nothing is ever staged here: the bench's bundles publish when durable

  private:
    Completions& completions_;
};

class MemoryStorage final : public storage::Storage {
  public:
    explicit MemoryStorage(std::size_t held_writes_max) { completions_.held_writes_max = held_writes_max; }

    Result<void> open_store(storage::StoreNumber, const std::string&, storage::StoreRole, bool) override {
        return {};
    }
    void close_store(storage::StoreNumber) override {}
    bool has_store(storage::StoreNumber, storage::StoreRole) const override { return true; }
    Result<std::unique_ptr<storage::BundleReader>> open_reader(storage::StoreNumber,
                                                               const wire::Manifest& manifest) override {
        return std::unique_ptr<storage::BundleReader>(std::make_unique<Reader>(completions_, manifest));
    }
    Result<std::unique_ptr<storage::BundleWriter>> open_writer(const wire::Manifest&) override {
        return std::unique_ptr<storage::BundleWriter>(std::make_unique<Writer>(completions_));
    }
    void submit() override {}
    std::size_t poll(std::vector<storage::Event>& out) override {
        while (completions_.writes.size() > completions_.held_writes_max) {
            storage::Event event;
            event.kind = storage::Event::Kind::write_done;
            event.token = completions_.writes.front();
            completions_.writes.pop_front();
            completions_.ready.push_back(event);
        }
        const std::size_t count = completions_.ready.size();
        out.insert(out.end(), completions_.ready.begin(), completions_.ready.end());
        completions_.ready.clear();
        return count;
    }
    bool idle() const override { return completions_.ready.empty() && completions_.writes.empty(); }
    const storage::StorageStats& stats() const override { return completions_.stats; }

  private:
    Completions completions_;
};

}  // namespace

std::unique_ptr<storage::Storage> make_memory_storage(MutableByteView arena, std::size_t held_writes_max) {
    Random random(1);
    for (std::size_t at = 0; at + 8 <= arena.size(); at += 8) {
        const std::uint64_t noise = random.next();
        std::memcpy(arena.data() + at, &noise, sizeof noise);
    }
    return std::make_unique<MemoryStorage>(held_writes_max);
}

}  // namespace longhaul::bench
