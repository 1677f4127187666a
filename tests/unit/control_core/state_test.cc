// What the state store says, while much of what it was told is still being written behind the loop's back.
// SPDX-License-Identifier: Apache-2.0
#include "control/state/state_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "control/state/write_behind.h"
#include "dataplane/base/random.h"

namespace longhaul::control {
namespace {

class StoreOnDisk : public ::testing::Test {
  protected:
    StoreOnDisk() {
        std::string pattern = (std::filesystem::temp_directory_path() / "longhaul-state-XXXXXX").string();
        directory_ = mkdtemp(pattern.data());
    }
    ~StoreOnDisk() override { std::filesystem::remove_all(directory_); }
    std::string directory_;
};

TEST(WriteBehind, DoesEverythingInTheOrderInWhichItWasGiven) {
    std::vector<int> done;
    {
        WriteBehind behind;
        EXPECT_TRUE(behind.at_rest());
        for (int i = 0; i < 1000; ++i)
            behind.post([&done, i] { done.push_back(i); });
        EXPECT_FALSE(behind.at_rest());
        behind.rest();
        EXPECT_TRUE(behind.at_rest());
        ASSERT_EQ(done.size(), 1000u);
        for (int i = 0; i < 1000; ++i)
            EXPECT_EQ(done[static_cast<std::size_t>(i)], i);
        behind.post([&done] { done.push_back(1000); });
    }
    EXPECT_EQ(done.size(), 1001u) << "what was given before the end is done before the end";
}

struct Row {
    ObjectKind kind = ObjectKind::file;
    bool published = false;
    std::int64_t mtime_ns = 0;
};

// A store and what it has to say, both told the same.
class StoreAndModel {
  public:
    StoreAndModel(const std::string& path, std::uint64_t seed)
        : store_(std::move(StateStore::open(path).value())), random_(seed) {}

    void step() {
        const std::int64_t dataset =
            1 + static_cast<std::int64_t>(random_.below(random_.chance(0.998) ? 1 : 3));
        const std::string path = "d" + std::to_string(random_.below(4)) + "/" + std::to_string(next_);
        if (random_.chance(0.6)) return offer(dataset, path);
        if (names_.empty()) return;
        // Mostly of those that may be on their way yet.
        const std::size_t among =
            random_.chance(0.9) ? std::min<std::size_t>(names_.size(), 60) : names_.size();
        const auto some = rows_.find(names_[names_.size() - 1 - random_.below(among)]);
        if (some == rows_.end()) return;
        switch (random_.below(400)) {
            case 0:
                return look(some->first, some->second);
            case 1:
                return forget(some->first);
            case 2:
                return store_->commit();
            default:
                return random_.chance(0.2) ? unsettle(some->first, some->second)
                                           : publish(some->first, some->second);
        }
    }

    void compare() {
        for (const auto& [name, row] : rows_)
            look(name, row);
        for (const auto& [dataset, count] : bundles_)
            EXPECT_EQ(store_->bundles(dataset).size(), count);
    }

  private:
    using Name = std::pair<std::int64_t, std::string>;

    void offer(std::int64_t dataset, const std::string& path) {
        Fingerprint print;
        print.kind = random_.chance(0.2) ? ObjectKind::directory : ObjectKind::file;
        print.mtime_ns = static_cast<std::int64_t>(++next_);
        if (!rows_.emplace(Name{dataset, path}, Row{print.kind, false, print.mtime_ns}).second) return;
        names_.emplace_back(dataset, path);
        store_->object_first_offered(dataset, path, print, "");
        if (random_.chance(0.1)) {
            BundleRecord bundle;
            bundle.id = {1, next_};
            bundle.dataset = dataset;
            bundle.head.assign(3, 1);
            store_->bundle_put(std::move(bundle));
            ++bundles_[dataset];
            if (random_.chance(0.5)) {
                store_->bundle_remove({1, next_});
                --bundles_[dataset];
            }
        }
    }
    void publish(const Name& name, Row& row) {
        row.published = true;
        store_->object_published_as_offered(name.first, name.second);
    }
    void unsettle(const Name& name, Row& row) {
        if (row.published && row.kind == ObjectKind::directory) row.mtime_ns = kMtimeUnsettled;
        store_->directory_unsettle(name.first, name.second);
    }
    void forget(const Name name) {
        store_->object_forget(name.first, name.second);
        rows_.erase(name);
    }
    void look(const Name& name, const Row& row) {
        const auto seen = store_->object(name.first, name.second);
        ASSERT_TRUE(seen) << name.second;
        EXPECT_EQ(seen->published, row.published) << name.second;
        EXPECT_EQ(seen->print.mtime_ns, row.mtime_ns) << name.second;
    }

    std::unique_ptr<StateStore> store_;
    Random random_;
    std::map<Name, Row> rows_;
    std::vector<Name> names_;  // as they came, also such as are gone
    std::map<std::int64_t, std::size_t> bundles_;
    std::uint64_t next_ = 0;
};

TEST_F(StoreOnDisk, SaysWhatItWasToldHoweverMuchIsStillOnItsWay) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        SCOPED_TRACE(seed);
        StoreAndModel both(directory_ + "/" + std::to_string(seed) + ".sqlite", seed);
        for (int i = 0; i < 20'000; ++i)
            both.step();
        both.compare();
    }
}

TEST_F(StoreOnDisk, HasEverythingAfterItsEnd) {
    const std::string path = directory_ + "/state.sqlite";
    constexpr std::uint64_t kRows = 5000;
    {
        auto store = StateStore::open(path);
        ASSERT_TRUE(store.ok());
        for (std::uint64_t i = 0; i < kRows; ++i) {
            store.value()->object_first_offered(1, std::to_string(i), {.size = i}, "");
            store.value()->object_published_as_offered(1, std::to_string(i));
        }
    }
    auto again = StateStore::open(path);
    ASSERT_TRUE(again.ok());
    const auto totals = again.value()->published_totals(1);
    EXPECT_EQ(totals.objects, kRows);
    EXPECT_EQ(totals.bytes, kRows * (kRows - 1) / 2);
}

}  // namespace
}  // namespace longhaul::control
