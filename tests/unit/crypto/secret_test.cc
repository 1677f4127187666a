// The key schedule: HKDF as published, every input of a secret counts, and nothing comes back by chance.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/crypto/secret.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <new>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/crypto/digits.h"

namespace longhaul::crypto {
namespace {

using fixture::bytes_of;

std::vector<std::uint8_t> counting(std::uint8_t first, std::size_t count) {
    std::vector<std::uint8_t> bytes(count);
    for (std::size_t i = 0; i < count; ++i)
        bytes[i] = static_cast<std::uint8_t>(first + i);
    return bytes;
}

void expect_vector(ByteView input_key, ByteView salt, ByteView info, std::string_view extracted,
                   std::string_view expanded) {
    const auto secret = hkdf_extract(salt, input_key);
    ASSERT_TRUE(secret.ok()) << secret.error().text;
    const auto expected_secret = bytes_of(extracted);
    EXPECT_TRUE(std::equal(expected_secret.begin(), expected_secret.end(), secret.value().bytes.begin(),
                           secret.value().bytes.end()));
    const auto expected = bytes_of(expanded);
    std::vector<std::uint8_t> out(expected.size());
    ASSERT_TRUE(hkdf_expand(secret.value(), info, out).ok());
    EXPECT_EQ(out, expected);
}

// Proves that HKDF is the RFC's: its appendix A, SHA-256 cases 1 to 3 (short, long, empty salt and info).
TEST(Hkdf, Rfc5869Vectors) {
    expect_vector(std::vector<std::uint8_t>(22, 0x0b), counting(0, 13), counting(0xf0, 10),
                  "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
                  "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    expect_vector(
        counting(0, 80), counting(0x60, 80), counting(0xb0, 80),
        "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
        "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");
    expect_vector(std::vector<std::uint8_t>(22, 0x0b), {}, {},
                  "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
                  "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

// Proves that the longest output is given and one byte more refused, not cut.
TEST(Hkdf, OutputLimit) {
    LaneSecret secret;
    std::vector<std::uint8_t> out(255 * 32);
    EXPECT_TRUE(hkdf_expand(secret, {}, out).ok());
    out.push_back(0);
    EXPECT_FALSE(hkdf_expand(secret, {}, out).ok());
    EXPECT_TRUE(hkdf_expand(secret, {}, {}).ok());
}

struct Inputs {
    LinkSecret link;
    SessionNonce initiator{}, responder{};
    std::uint32_t spi = 7;
    std::uint8_t path = 1, lane = 2;
    std::array<std::uint8_t, 32> lane_bytes() const {
        const auto session = session_secret(link, initiator, responder);
        EXPECT_TRUE(session.ok());
        const auto secret = lane_secret(session.value(), spi, path, lane);
        EXPECT_TRUE(secret.ok());
        return secret.value().bytes;
    }
};

// Proves the schedule of the header comment step by step against bare HKDF, labels and byte order included.
TEST(KeySchedule, FollowsItsDescription) {
    Inputs inputs;
    inputs.link.bytes.fill(0x11);
    inputs.initiator.fill(0x22);
    inputs.responder.fill(0x33);
    std::vector<std::uint8_t> salt(32, 0x22);
    salt.insert(salt.end(), 32, 0x33);
    const LaneSecret session = hkdf_extract(salt, inputs.link.bytes).value();
    EXPECT_EQ(session_secret(inputs.link, inputs.initiator, inputs.responder).value().bytes, session.bytes);

    const auto expand = [](const LaneSecret& from, std::string_view label, std::size_t count,
                           ByteView more = {}) {
        std::vector<std::uint8_t> info(label.begin(), label.end()), out(count);
        info.insert(info.end(), more.begin(), more.end());
        EXPECT_TRUE(hkdf_expand(from, info, out).ok());
        return out;
    };
    const auto same = [](const auto& a, const std::vector<std::uint8_t>& b) {
        return std::equal(a.begin(), a.end(), b.begin(), b.end());
    };
    const LaneSecret lane = lane_secret(session, 0x01020304, 0x05, 0x06).value();
    EXPECT_TRUE(same(lane.bytes, expand(session, "longhaul lane", 32, bytes_of("010203040506"))));
    EXPECT_TRUE(same(next_phase(lane).value().bytes, expand(lane, "longhaul phase", 32)));
    const KeyMaterial material = key_material(lane).value();
    EXPECT_TRUE(same(material.key, expand(lane, "longhaul key", 32)));
    EXPECT_TRUE(same(material.iv, expand(lane, "longhaul iv", 12)));
}

// Proves that a link secret sent twice brings no key back: one bit of either nonce, of the secret, or another
// SPI, path or lane gives an unrelated lane secret; so do swapped roles.
TEST(KeySchedule, EveryInputChangesTheLaneSecret) {
    Inputs base;
    base.initiator.fill(1);
    base.responder.fill(2);
    std::set<std::array<std::uint8_t, 32>> seen{base.lane_bytes()};
    const auto expect_new = [&seen](const Inputs& inputs, const char* what) {
        EXPECT_TRUE(seen.insert(inputs.lane_bytes()).second) << what;
    };
    for (std::size_t byte = 0; byte < 32; ++byte) {
        for (const auto field : {&Inputs::initiator, &Inputs::responder}) {
            Inputs changed = base;
            (changed.*field)[byte] ^= 0x80;
            expect_new(changed, "nonce");
        }
        Inputs changed = base;
        changed.link.bytes[byte] ^= 1;
        expect_new(changed, "link secret");
    }
    Inputs changed = base;
    std::swap(changed.initiator, changed.responder);
    expect_new(changed, "roles");
    for (unsigned bit = 0; bit < 32; ++bit) {
        changed = base;
        changed.spi ^= 1u << bit;
        expect_new(changed, "spi");
    }
    changed = base;
    changed.path ^= 1;
    expect_new(changed, "path");
    changed = base;
    changed.lane ^= 1;
    expect_new(changed, "lane");
}

// Proves that phases do not run in a circle and that each has a key and an iv of its own.
TEST(KeySchedule, PhasesDiffer) {
    std::set<std::array<std::uint8_t, 32>> keys;
    std::set<std::array<std::uint8_t, 12>> ivs;
    LaneSecret phase;
    for (unsigned i = 0; i < 100; ++i) {
        const KeyMaterial material = key_material(phase).value();
        EXPECT_TRUE(keys.insert(material.key).second);
        EXPECT_TRUE(ivs.insert(material.iv).second);
        phase = next_phase(phase).value();
    }
}

// Proves that a secret leaves nothing behind in the memory where it stood.
TEST(Secrets, AreWipedOnDestruction) {
    alignas(LaneSecret) std::array<std::uint8_t, sizeof(LaneSecret)> memory;
    auto* const secret = new (memory.data()) LaneSecret;
    secret->bytes.fill(0xa5);
    secret->~LaneSecret();
    const volatile std::uint8_t* left =
        memory.data();  // what the memory holds, not what the compiler knows of it
    for (std::size_t i = 0; i < memory.size(); ++i)
        EXPECT_EQ(left[i], 0) << i;
}

// Proves that random bytes fill the whole span, are not repeated, and use all values.
TEST(RandomBytes, FillAndDiffer) {
    std::vector<std::uint8_t> first(4096, 0), second(4096, 0);
    ASSERT_TRUE(random_bytes(first).ok());
    ASSERT_TRUE(random_bytes(second).ok());
    EXPECT_NE(first, second);
    // 4096 fair bytes miss a given value with probability e^-16; missing more than 8 of 256 is beyond 1e-40.
    EXPECT_GE(std::set<std::uint8_t>(first.begin(), first.end()).size(), 248u);
    EXPECT_TRUE(random_bytes({}).ok());
    std::array<std::uint8_t, 3> guarded{7, 7, 7};
    ASSERT_TRUE(random_bytes(MutableByteView(guarded).subspan(1, 1)).ok());
    EXPECT_EQ(guarded[0], 7);
    EXPECT_EQ(guarded[2], 7);
}

}  // namespace
}  // namespace longhaul::crypto
