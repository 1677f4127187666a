// What every test of Core needs: a source tree on disk, a clock that only the test moves, Core over
// FakePorts.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "control/core.h"
#include "tests/unit/control_core/fake_ports.h"

namespace longhaul::control::test {

class Site : public ::testing::Test {
  protected:
    void SetUp() override;
    void TearDown() override;

    void start(bool connect = true);  // makes Core, starts it
    void crash();                     // ends control; the dataplane and its bundles go on
    DatasetSpec spec() const;
    DatasetView create(DatasetSpec wanted);
    DatasetView create() { return create(spec()); }

    std::string at(const std::string& path) const { return source + "/" + path; }
    void write(const std::string& path, const std::string& bytes);
    std::string differences() const;  // of the target's model from the source, "" if it is the same
    RpoView rpo() const;

    // Rescans until a sweep that began after this call is proven at the target and everything is there.
    ::testing::AssertionResult converged();
    void rescan();
    static bool eventually(const std::function<bool()>& condition);  // within 20 s

    void advance(double seconds) { clock += static_cast<WallNs>(seconds * 1e9); }

    std::string base, source, state;
    std::atomic<WallNs> clock{1'700'000'000'000'000'000};
    CoreConfig config;
    std::unique_ptr<FakePorts> ports;
    std::unique_ptr<Core> core;
};

std::string read_file(const std::string& path);

}  // namespace longhaul::control::test
