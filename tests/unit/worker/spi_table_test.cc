// The table from SPI to lane: what was put in is found, what was taken out or never was is not.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/spi_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace longhaul::worker {
namespace {

// Proves: it agrees with a map over random changes, with SPIs that are random and with SPIs that all collide.
TEST(SpiTableTest, AgreesWithAMap) {
    std::mt19937 random(5);
    for (const std::uint32_t step : {1u, 1u << 24, 0x10001u}) {
        SpiTable<int> table;
        std::map<std::uint32_t, int> expected;
        for (int round = 0; round < 600; ++round) {
            const std::uint32_t spi = static_cast<std::uint32_t>(random() % 200) * step;
            if (expected.count(spi) == 0 && random() % 3 != 0) {
                table.insert(spi, round);
                expected[spi] = round;
            } else {
                table.erase(spi);
                expected.erase(spi);
            }
            for (std::uint32_t asked = 0; asked < 200; ++asked) {
                const int* const found = table.find(asked * step);
                const auto known = expected.find(asked * step);
                ASSERT_EQ(found != nullptr, known != expected.end()) << "spi " << asked * step;
                if (found != nullptr) {
                    ASSERT_EQ(*found, known->second);
                }
            }
        }
    }
}

}  // namespace
}  // namespace longhaul::worker
