// How a test waits for proof, and how it compares the model with the source.
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control_core/site.h"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace longhaul::control::test {

namespace fs = std::filesystem;

std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream bytes;
    bytes << file.rdbuf();
    return bytes.str();
}

void Site::SetUp() {
    std::string pattern = fs::temp_directory_path().string() + "/longhaul-core-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    base = pattern;
    source = base + "/source";
    state = base + "/state";
    fs::create_directory(source);
    config.site = "east";
    config.state_directory = state;
    config.allowed_roots = {base};
    config.clock = [this] { return clock.load(); };
    ports = std::make_unique<FakePorts>();
}

void Site::TearDown() {
    if (ports) ports->attach(nullptr);
    core.reset();
    ports.reset();
    std::error_code ignored;
    fs::remove_all(base, ignored);
}

void Site::start(bool connect) {
    auto made = Core::create(config, *ports);
    ASSERT_TRUE(made.ok()) << made.error().text;
    core = std::move(made).value();
    ports->attach(core.get());
    core->start();
    if (connect) ports->connect();
}

void Site::crash() {
    ports->attach(nullptr);
    core.reset();
}

DatasetSpec Site::spec() const {
    DatasetSpec wanted;
    wanted.name = "lake";
    wanted.source = "posix:" + source;
    wanted.target = {"west", "posix:/replica/lake"};
    wanted.consistency =
        Consistency::object;  // the order of history is the file system's clock's, not the test's
    wanted.rpo_target_s = 7200;
    wanted.rescan_s = 3600;  // tests say when
    return wanted;
}

DatasetView Site::create(DatasetSpec wanted) {
    auto created = core->dataset_create(wanted);
    EXPECT_TRUE(created.ok()) << created.error().text;
    return created.ok() ? created.value() : DatasetView{};
}

void Site::write(const std::string& path, const std::string& bytes) {
    fs::create_directories(fs::path(at(path)).parent_path());
    std::ofstream(at(path), std::ios::binary) << bytes;
}

bool Site::eventually(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    std::mutex mutex;
    std::condition_variable never;
    std::unique_lock lock(mutex);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        never.wait_for(lock, std::chrono::milliseconds(2));
    }
    return true;
}

RpoView Site::rpo() const {
    return core->dataset("lake").value().rpo;
}

void Site::rescan() {
    ASSERT_TRUE(core->dataset_rescan("lake").ok());
}

::testing::AssertionResult Site::converged() {
    advance(1);
    const WallNs asked = clock;
    WallNs last = 0;
    const bool done = eventually([&] {
        const auto view = core->dataset("lake");
        if (!view.ok()) return false;
        // A sweep that was already running began before this call: ask for another.
        if (view.value().last_sweep_started < asked && last != view.value().last_sweep_started + 1) {
            last = view.value().last_sweep_started + 1;
            static_cast<void>(core->dataset_rescan("lake").ok());
        }
        const auto& rpo = view.value().rpo;
        return rpo.watermarks.w_pub && *rpo.watermarks.w_pub >= asked && rpo.objects_behind == 0;
    });
    if (!done) {
        const auto view = core->dataset("lake").value();
        return ::testing::AssertionFailure()
               << "not proven: behind " << view.rpo.objects_behind << ", problem \"" << view.problem << "\", "
               << view.rpo.limited_by << ", failing " << view.rpo.objects_failing
               << "; differences: " << differences();
    }
    if (const auto wrong = differences(); !wrong.empty()) return ::testing::AssertionFailure() << wrong;
    if (!ports->violations().empty())
        return ::testing::AssertionFailure() << "order broken: " << ports->violations()[0];
    return ::testing::AssertionSuccess();
}

std::string Site::differences() const {
    auto tree = ports->tree();
    std::ostringstream wrong;
    for (auto next = fs::recursive_directory_iterator(source); next != fs::recursive_directory_iterator();
         ++next) {
        const std::string path = next->path().string().substr(source.size() + 1);
        struct stat status {};
        if (lstat(next->path().c_str(), &status) != 0) continue;
        if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode) && !S_ISLNK(status.st_mode)) continue;
        const auto found = tree.extract(path);
        if (!found) {
            wrong << path << " is missing; ";
            continue;
        }
        const auto& copy = found.mapped();
        const char kind = S_ISDIR(status.st_mode) ? 'd' : S_ISLNK(status.st_mode) ? 'l' : 'f';
        if (copy.kind != kind) wrong << path << " is a " << copy.kind << "; ";
        const auto mtime = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
        if (copy.mtime_ns != mtime)
            wrong << path << " has mtime " << copy.mtime_ns << " not " << mtime << "; ";
        if (kind != 'l' && copy.mode != (status.st_mode & 07777))
            wrong << path << " has mode " << std::oct << copy.mode << "; ";
        if (copy.uid != status.st_uid || copy.gid != status.st_gid) wrong << path << " has another owner; ";
        if (kind == 'f' && copy.bytes != read_file(next->path().string()))
            wrong << path << " has other bytes; ";
        if (kind == 'l' && copy.bytes != fs::read_symlink(next->path()).string())
            wrong << path << " points elsewhere; ";
    }
    for (const auto& [path, object] : tree)
        wrong << path << " should not be there; ";
    return wrong.str();
}

}  // namespace longhaul::control::test
