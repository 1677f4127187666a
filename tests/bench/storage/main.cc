// The storage of one worker alone: one large file written until it is durable, the same file read, and small files in
// bundles. Prints one JSON object; tests/bench/storage.py sets fio beside it.
// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/random.h"
#include "dataplane/worker/memory_plan.h"
#include "drivers/storage/entry_crc.h"
#include "drivers/storage/storage.h"

namespace {

using namespace longhaul;
using namespace longhaul::storage;

constexpr std::uint64_t kPeriodBytes = 4096;  // the content repeats, so that any request may carry any place
constexpr std::uint64_t kSmallBytes = 4096;
constexpr std::size_t kSmallBundlesOpen = 4;
constexpr std::chrono::seconds kPatience{60};
constexpr useconds_t kIdleSleep_us =
    20;  // as a worker that does not poll: the processor time is that of the work

[[noreturn]] void fail(const std::string& text) {
    std::cerr << "bench-storage: " << text << "\n";
    std::exit(1);
}

double seconds_of(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

// Wall and processor time (the kernel's threads of the ring included) since it was made.
class Stopwatch {
  public:
    double wall_s() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    }
    double cpu_s() const { return cpu_now() - cpu_begin_; }

  private:
    static double cpu_now() {
        rusage usage{};
        getrusage(RUSAGE_SELF, &usage);
        return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
    }
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
    double cpu_begin_ = cpu_now();
};

struct Settings {
    std::string directory;
    std::uint64_t bytes = 1u << 30;
    std::uint64_t request = 1u << 20;
    unsigned depth = 16;
    unsigned files = 20000;
    unsigned files_per_bundle = 1000;
};

class Engine {
  public:
    explicit Engine(const Settings& settings)
        : settings_(settings), memory_(map(settings)), arena_(memory_.data()) {
        Random random(1);
        for (std::uint64_t i = 0; i < kPeriodBytes; ++i)
            arena_[i] = static_cast<std::uint8_t>(random.next());
        for (std::uint64_t at = kPeriodBytes; at < memory_.size(); at += kPeriodBytes)
            std::memcpy(arena_ + at, arena_, kPeriodBytes);
        StorageConfig config;
        config.log = [](const std::string& text) { std::cerr << text << "\n"; };
        auto made = make_storage(config, {arena_, memory_.size()});
        if (!made) fail(made.error().text);
        storage_ = std::move(made).value();
        for (const StoreRole role : {StoreRole::source, StoreRole::target})
            if (const auto opened = storage_->open_store(1, settings.directory, role); !opened)
                fail(opened.error().text);
    }
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    Stopwatch write_large();
    Stopwatch read_large();
    Stopwatch write_small();

  private:
    MutableByteView slot(std::size_t index) {
        return {arena_ + index * settings_.request, settings_.request};
    }
    // Keeps `depth` requests under way over [0, bytes), one to a slot.
    void stream(
        std::uint64_t bytes,
        const std::function<void(std::uint64_t at, MutableByteView memory, std::uint64_t token)>& issue);
    void finish(BundleWriter& writer, const wire::Trailer& trailer);
    // Rests when nothing has come; the deadline moves with whatever does.
    void turn() {
        storage_->submit();
        events_.clear();
        const auto now = std::chrono::steady_clock::now();
        if (storage_->poll(events_) > 0) {
            deadline_ = now + kPatience;
            return;
        }
        if (now > deadline_) fail("nothing came from the disk for a minute");
        usleep(kIdleSleep_us);
    }
    static std::uint32_t crc_of_repeated(ByteView period, std::uint64_t bytes) {
        EntryCrc crc;
        for (std::uint64_t at = 0; at < bytes; at += period.size())
            crc.add(at, period.first(std::min<std::uint64_t>(period.size(), bytes - at)));
        return crc.value();
    }
    wire::Manifest manifest() {
        wire::Manifest made;
        made.id = {0xbe9c, ++bundles_};
        made.generation = 1;
        made.store = 1;
        return made;
    }

    // As a worker has it: on huge pages, or where none are reserved, advised.
    static worker::Arena map(const Settings& settings) {
        const std::uint64_t requests = std::max<std::uint64_t>(settings.depth, kSmallBundlesOpen);
        auto mapped = worker::Arena::map(settings.request * requests, true);
        if (!mapped) fail(mapped.error().text);
        return std::move(mapped).value();
    }

    const Settings settings_;
    worker::Arena memory_;
    std::uint8_t* const arena_;
    std::unique_ptr<Storage> storage_;
    std::vector<Event> events_;
    std::uint64_t bundles_ = 0;
    std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::now() + kPatience;
};

void Engine::stream(std::uint64_t bytes,
                    const std::function<void(std::uint64_t, MutableByteView, std::uint64_t)>& issue) {
    std::vector<std::size_t> free;
    for (std::size_t i = 0; i < settings_.depth; ++i)
        free.push_back(i);
    std::size_t open = 0;
    for (std::uint64_t at = 0; at < bytes || open > 0;) {
        while (at < bytes && !free.empty()) {
            const std::uint64_t count = std::min(settings_.request, bytes - at);
            issue(at, slot(free.back()).first(count), free.back());
            free.pop_back();
            at += count;
            ++open;
        }
        turn();
        for (const Event& event : events_) {
            free.push_back(event.token);
            --open;
        }
    }
}

void Engine::finish(BundleWriter& writer, const wire::Trailer& trailer) {
    writer.finish(trailer, 0);
    for (;;) {
        turn();
        for (const Event& event : events_) {
            if (event.status.failed_entries > 0) fail("the engine failed an entry");
            if (event.status.stage == wire::Stage::published) return;
        }
    }
}

Stopwatch Engine::write_large() {
    wire::Manifest large = manifest();
    wire::Entry entry;
    entry.path = "large";
    entry.mode = 0644;
    entry.uid = geteuid();
    entry.gid = getegid();
    entry.size = settings_.bytes;
    large.entries.push_back(entry);
    large.payload_bytes = settings_.bytes;
    const wire::Trailer trailer{
        large.id, 1, {{wire::FailReason::none, crc_of_repeated(slot(0), settings_.bytes)}}};
    const Stopwatch watch;
    auto writer = storage_->open_writer(large);
    if (!writer) fail(writer.error().text);
    stream(settings_.bytes, [&](std::uint64_t at, MutableByteView memory, std::uint64_t token) {
        writer.value()->write(at, memory, token);
    });
    finish(*writer.value(), trailer);
    return watch;
}

Stopwatch Engine::read_large() {
    struct stat found {};
    if (stat((settings_.directory + "/large").c_str(), &found) != 0) fail("there is no file to read");
    wire::Manifest large = manifest();
    wire::Entry entry;
    entry.path = "large";
    entry.size = static_cast<std::uint64_t>(found.st_size);
    entry.mtime_ns = std::int64_t{found.st_mtim.tv_sec} * 1'000'000'000 + found.st_mtim.tv_nsec;
    large.entries.push_back(entry);
    large.payload_bytes = entry.size;
    const Stopwatch watch;
    auto reader = storage_->open_reader(1, large);
    if (!reader) fail(reader.error().text);
    stream(entry.size, [&](std::uint64_t at, MutableByteView memory, std::uint64_t token) {
        reader.value()->read(at, memory, token);
    });
    if (reader.value()->trailer().verdicts[0].reason != wire::FailReason::none) fail("the read failed");
    return watch;
}

// Bundles of small files, some of them open at a time, each in a directory of its own.
Stopwatch Engine::write_small() {
    const std::uint32_t crc = crc_of_repeated(slot(0).first(kPeriodBytes), kSmallBytes);
    struct Open {
        std::unique_ptr<BundleWriter> writer;
        wire::Trailer trailer;
        std::size_t writes = 0;
    };
    std::vector<Open> open(kSmallBundlesOpen);
    std::uint64_t made = 0, published = 0;
    const auto begin = [&](std::size_t index) {
        wire::Manifest small = manifest();
        Open& bundle = open[index];
        bundle.trailer = {small.id, 1, {}};
        for (unsigned i = 0; i < settings_.files_per_bundle && made < settings_.files; ++i, ++made) {
            wire::Entry entry;
            entry.path = "small-" + std::to_string(bundles_) + "/" + std::to_string(i);
            entry.mode = 0644;
            entry.uid = geteuid();
            entry.gid = getegid();
            entry.size = kSmallBytes;
            entry.payload_offset = small.payload_bytes;
            small.payload_bytes += kSmallBytes;
            small.entries.push_back(std::move(entry));
            bundle.trailer.verdicts.push_back({wire::FailReason::none, crc});
        }
        auto writer = storage_->open_writer(small);
        if (!writer) fail(writer.error().text);
        bundle.writer = std::move(writer).value();
        for (std::uint64_t at = 0; at < small.payload_bytes; at += settings_.request, ++bundle.writes)
            bundle.writer->write(at, slot(index).first(std::min(settings_.request, small.payload_bytes - at)),
                                 index);
    };
    const Stopwatch watch;
    for (std::size_t i = 0; i < open.size() && made < settings_.files; ++i)
        begin(i);
    while (published < settings_.files) {
        turn();
        for (const Event& event : events_) {
            Open& bundle = open[event.token];
            if (event.kind == Event::Kind::write_done && --bundle.writes == 0)
                bundle.writer->finish(bundle.trailer, event.token);
            if (event.kind != Event::Kind::bundle_stage || event.status.stage != wire::Stage::published)
                continue;
            if (event.status.failed_entries > 0) fail("the engine failed a small file");
            published += bundle.trailer.verdicts.size();
            if (made < settings_.files) begin(event.token);
        }
    }
    return watch;
}

}  // namespace

int main(int count, char** arguments) {
    namespace options = boost::program_options;
    Settings settings;
    std::string what;
    options::options_description help("bench-storage: one worker's storage alone");
    help.add_options()("help", "this text");
    help.add_options()("what", options::value(&what)->required(), "write, read or small");
    help.add_options()("directory", options::value(&settings.directory)->required(),
                       "on the disk to measure");
    help.add_options()("bytes", options::value(&settings.bytes), "of the large file, at most 1 GiB");
    help.add_options()("request", options::value(&settings.request),
                       "bytes of a request, a multiple of 4096");
    help.add_options()("depth", options::value(&settings.depth), "requests under way");
    help.add_options()("files", options::value(&settings.files), "small files");
    options::variables_map map;
    try {
        options::store(options::parse_command_line(count, arguments, help), map);
        if (map.count("help")) {
            std::cout << help;
            return 0;
        }
        options::notify(map);
    } catch (const options::error& error) {
        fail(error.what());
    }
    if (settings.request == 0 || settings.request % kPeriodBytes != 0)
        fail("--request must be a multiple of 4096");
    if (settings.bytes > wire::kPayloadBytesMax)
        fail("--bytes must be at most 1 GiB: one bundle takes no more");
    Engine engine(settings);
    Stopwatch watch;
    if (what == "write")
        watch = engine.write_large();
    else if (what == "read")
        watch = engine.read_large();
    else if (what == "small")
        watch = engine.write_small();
    else
        fail("--what is write, read or small");
    std::printf("{\"wall_s\": %.6f, \"cpu_s\": %.6f}\n", watch.wall_s(), watch.cpu_s());
    return 0;
}
