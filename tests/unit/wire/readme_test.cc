// The protocol text and the code say the same: every hex example of dataplane/wire/README.md is made again
// from values.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "dataplane/fec/reference.h"
#include "dataplane/wire/feedback.h"
#include "dataplane/wire/frame.h"
#include "dataplane/wire/manifest.h"
#include "dataplane/wire/packet.h"
#include "dataplane/wire/ping.h"
#include "dataplane/wire/probe.h"

namespace longhaul::wire {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes from_hex(const std::string& line) {
    Bytes bytes;
    std::istringstream pairs(line.substr(0, line.find('#')));
    for (std::string pair; pairs >> pair;) {
        EXPECT_EQ(pair.size(), 2u) << line;
        bytes.push_back(static_cast<std::uint8_t>(std::stoul(pair, nullptr, 16)));
    }
    return bytes;
}

// The blocks "```hex NAME" of the file; what follows a # is a remark.
std::map<std::string, Bytes> read_examples() {
    std::ifstream file(LONGHAUL_WIRE_README);
    EXPECT_TRUE(file) << "cannot read " << LONGHAUL_WIRE_README;
    std::map<std::string, Bytes> examples;
    std::string open_block;
    for (std::string line; std::getline(file, line);) {
        if (line.rfind("```", 0) == 0) {
            open_block = line.rfind("```hex ", 0) == 0 ? line.substr(7) : "";
            if (!open_block.empty()) {
                EXPECT_EQ(examples.count(open_block), 0u) << open_block << " stands there twice";
            }
        } else if (!open_block.empty()) {
            const Bytes bytes = from_hex(line);
            Bytes& block = examples[open_block];
            block.insert(block.end(), bytes.begin(), bytes.end());
        }
    }
    return examples;
}

const Bytes& example(const std::string& name) {
    static const std::map<std::string, Bytes> examples = read_examples();
    static const Bytes none;
    const auto found = examples.find(name);
    EXPECT_NE(found, examples.end()) << "the README has no example " << name;
    return found == examples.end() ? none : found->second;
}

Bytes rising(std::uint8_t from, std::size_t count) {
    Bytes bytes(count);
    std::iota(bytes.begin(), bytes.end(), from);
    return bytes;
}

Bytes joined(std::initializer_list<Bytes> parts) {
    Bytes whole;
    for (const Bytes& part : parts)
        whole.insert(whole.end(), part.begin(), part.end());
    return whole;
}

Bytes hmac_sha256(const Bytes& key, const Bytes& message) {
    Bytes mac(32);
    unsigned count = 0;
    EXPECT_NE(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), message.data(), message.size(),
                   mac.data(), &count),
              nullptr);
    EXPECT_EQ(count, 32u);
    return mac;
}

// HKDF-Expand for at most 32 bytes: one round.
Bytes expand(const Bytes& secret, const std::string& label, const Bytes& context, std::size_t count) {
    Bytes bytes = hmac_sha256(secret, joined({Bytes(label.begin(), label.end()), context, {1}}));
    bytes.resize(count);
    return bytes;
}

Bytes seal(const Bytes& key, const Bytes& nonce, const Bytes& header, const Bytes& plaintext) {
    Bytes sealed(plaintext.size() + kTagBytes);
    int count = 0;
    EVP_CIPHER_CTX* const context = EVP_CIPHER_CTX_new();
    EXPECT_EQ(EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), nullptr, key.data(), nonce.data()), 1);
    EXPECT_EQ(EVP_EncryptUpdate(context, nullptr, &count, header.data(), static_cast<int>(header.size())), 1);
    EXPECT_EQ(EVP_EncryptUpdate(context, sealed.data(), &count, plaintext.data(),
                                static_cast<int>(plaintext.size())),
              1);
    EXPECT_EQ(EVP_EncryptFinal_ex(context, sealed.data() + count, &count), 1);
    EXPECT_EQ(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, kTagBytes, sealed.data() + plaintext.size()),
              1);
    EVP_CIPHER_CTX_free(context);
    return sealed;
}

constexpr BundleId kId{0x0001020304050607, 0x08090a0b0c0d0e0f};
constexpr std::int64_t kTime = 1763800000123456789;

// Proves: the set of examples is the set that is checked here; none stands in the text unchecked.
TEST(Readme, EveryExampleIsChecked) {
    std::vector<std::string> names;
    for (const auto& [name, bytes] : read_examples())
        names.push_back(name);
    EXPECT_EQ(names, (std::vector<std::string>{"data-header", "feedback", "iv", "key", "lane-secret",
                                               "manifest", "nonce", "parity", "phase-1", "ping", "probe",
                                               "sealed-ping", "session-secret", "trailer", "udp-frame"}));
}

// Proves: the frame example.
TEST(Readme, UdpFrame) {
    UdpTuple tuple;
    tuple.source_mac = parse_mac("02:00:00:00:00:01").value();
    tuple.target_mac = parse_mac("02:00:00:00:00:02").value();
    tuple.source_ip = parse_ip("10.77.0.1").value();
    tuple.target_ip = parse_ip("10.77.0.2").value();
    tuple.source_port = 49152;
    tuple.target_port = 49153;
    tuple.traffic_class = 0x0a;
    Bytes frame(udp_overhead_bytes(tuple));
    frame.insert(frame.end(), {0xa1, 0xb2, 0xc3});
    write_udp_frame(tuple, 3, UdpChecksum::computed, frame.data());
    EXPECT_EQ(frame, example("udp-frame"));
}

// Proves: the header example, field by field.
TEST(Readme, DataHeader) {
    Header header;
    header.flags = Flags::ack_now | Flags::first | static_cast<std::uint8_t>(1 << Flags::section_shift);
    header.path = 3;
    header.lane = 17;
    header.spi = 0xa1b2c3d4;
    header.packet_number = 0x0102030405060708;
    header.tx_time_us = 0x11223344;
    header.bundle = 0x55667788;
    header.stripe = 0x99aabbccddee;
    header.symbol = 5;
    header.data_symbols = 64;
    Bytes bytes(kHeaderBytes);
    write_header(header, bytes.data());
    EXPECT_EQ(bytes, example("data-header"));
}

// Proves: the manifest example, both ways.
TEST(Readme, Manifest) {
    Manifest manifest{kId, 2, 9, PublishRule::when_durable, 3, {}};
    Entry file;
    file.mode = 0644;
    file.uid = 1000;
    file.gid = 100;
    file.mtime_ns = kTime;
    file.ctime_ns = kTime + 1;
    file.size = 3;
    file.path = "a/b";
    Entry mark;
    mark.kind = EntryKind::mark;
    mark.mtime_ns = kTime;
    manifest.entries = {file, mark};
    EXPECT_EQ(write_manifest(manifest).value(), example("manifest"));
    const auto parsed = parse_manifest(example("manifest"));
    ASSERT_TRUE(parsed.ok()) << parsed.error().text;
    EXPECT_EQ(parsed.value(), manifest);
}

// Proves: the trailer example, with the CRC32C of "abc".
TEST(Readme, Trailer) {
    const Trailer trailer{kId, 2, {{FailReason::none, 0x364b3fb7}, {FailReason::source_changed, 0}}};
    EXPECT_EQ(write_trailer(trailer), example("trailer"));
}

// Proves: the feedback example, both ways.
TEST(Readme, Feedback) {
    Feedback feedback;
    feedback.sequence = 0x01020304;
    feedback.complete_below = 10;
    feedback.stripe_limit = 266;
    feedback.loss_events = 7;
    feedback.decoded_from = 12;
    feedback.decoded = {0x8000000000000003};
    feedback.lanes = {{2, 1000, 0x11223344, 500, 992, 1484800, 200}};
    feedback.nacks = {{11, 2, 1, {~std::uint64_t{6}, 0}}};
    feedback.bundles = {{5, Stage::failed, FailReason::target_no_space, 1, {{3, FailReason::target_io}}}};
    Bytes bytes(1408);
    bytes.resize(write_feedback(feedback, bytes));
    EXPECT_EQ(bytes, example("feedback"));
    wire::Feedback parsed;
    ASSERT_EQ(parse_feedback(example("feedback"), parsed), DropReason::none);
    EXPECT_EQ(parsed, feedback);
}

// Proves: the parity example, by the arithmetic of the oracle.
TEST(Readme, Parity) {
    const Bytes data = {1, 2, 3};
    EXPECT_EQ(joined({fec::reference::parity_symbol(data, 3, 0), fec::reference::parity_symbol(data, 3, 1),
                      fec::reference::parity_symbol(data, 3, 127)}),
              example("parity"));
}

// Proves: the key schedule of the text, worked through with OpenSSL's HMAC and nothing of ours.
TEST(Readme, KeySchedule) {
    const Bytes session = hmac_sha256(joined({rising(0x20, 32), rising(0x40, 32)}), rising(0x00, 32));
    EXPECT_EQ(session, example("session-secret"));
    const Bytes lane = expand(session, "longhaul lane", {0xa1, 0xb2, 0xc3, 0xd4, 3, 2}, 32);
    EXPECT_EQ(lane, example("lane-secret"));
    EXPECT_EQ(expand(lane, "longhaul key", {}, 32), example("key"));
    EXPECT_EQ(expand(lane, "longhaul iv", {}, 12), example("iv"));
    EXPECT_EQ(expand(lane, "longhaul phase", {}, 32), example("phase-1"));
}

// Proves: the probe example.
TEST(Readme, Probe) {
    Bytes payload(kProbeBytes);
    write_probe({42, 1408, true}, payload.data());
    EXPECT_EQ(payload, example("probe"));
}

// Proves: ping, nonce and sealed packet: our header and payload, OpenSSL's AES-256-GCM.
TEST(Readme, SealedPing) {
    const Ping ping{7, 5, 0x10203040, 250};
    Bytes payload(kPingBytes), header_bytes(kHeaderBytes);
    write_ping(ping, payload.data());
    EXPECT_EQ(payload, example("ping"));
    Header header;
    header.type = PacketType::ping;
    header.flags = Flags::ack_now;
    header.path = 3;
    header.lane = 2;
    header.spi = 0xa1b2c3d4;
    header.packet_number = 0x0102030405060708;
    header.tx_time_us = 0x11223344;
    write_header(header, header_bytes.data());
    Bytes nonce = example("iv");
    ASSERT_EQ(nonce.size(), 12u);
    for (std::size_t i = 0; i < 8; ++i)
        nonce[4 + i] = static_cast<std::uint8_t>(nonce[4 + i] ^ header_bytes[8 + i]);
    EXPECT_EQ(nonce, example("nonce"));
    ASSERT_EQ(example("key").size(), 32u);
    EXPECT_EQ(joined({header_bytes, seal(example("key"), nonce, header_bytes, payload)}),
              example("sealed-ping"));
}

}  // namespace
}  // namespace longhaul::wire
