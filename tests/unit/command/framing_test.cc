// Frames, documents and hex: what is written is read back, and no cut, length or byte from outside does harm.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "dataplane/base/random.h"
#include "dataplane/command/messages.h"

namespace longhaul::command {
namespace {

Frame sample() {
    return Frame{R"({"seq":7,"request":"bundle_offer"})", {0, 1, 2, 0xff, 0x0a, 0}};
}

std::vector<std::uint8_t> prefix(std::uint32_t body_bytes, std::uint32_t json_bytes) {
    std::vector<std::uint8_t> bytes(8);
    ByteWriter writer(bytes);
    writer.u32(body_bytes);
    writer.u32(json_bytes);
    return bytes;
}

// Proves the byte layout that both programs agree on, so that a change of it cannot go unnoticed.
TEST(Framing, LayoutIsTwoLengthsJsonBlob) {
    const auto bytes = write_frame(Frame{"{}", {0xab}});
    EXPECT_EQ(bytes, (std::vector<std::uint8_t>{0, 0, 0, 3, 0, 0, 0, 2, '{', '}', 0xab}));
}

// Proves that a frame cut anywhere waits without touching the buffer, and is taken exactly once when whole.
TEST(Framing, EveryTruncationPointWaits) {
    const auto whole = write_frame(sample());
    for (std::size_t cut = 0; cut < whole.size(); ++cut) {
        std::vector<std::uint8_t> buffer(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(cut));
        const auto before = buffer;
        auto taken = take_frame(buffer);
        ASSERT_TRUE(taken.ok()) << cut;
        EXPECT_FALSE(taken.value().has_value()) << cut;
        EXPECT_EQ(buffer, before) << cut;
    }
    auto buffer = whole;
    auto taken = take_frame(buffer);
    ASSERT_TRUE(taken.ok() && taken.value());
    EXPECT_EQ(taken.value()->json, sample().json);
    EXPECT_EQ(taken.value()->blob, sample().blob);
    EXPECT_TRUE(buffer.empty());
}

// Proves that a byte stream of many frames yields them in order however it is chopped up.
TEST(Framing, FramesComeOutInOrderFromAnyChunks) {
    const std::uint64_t seed = 20231;
    SCOPED_TRACE("seed " + std::to_string(seed) +
                 "; replay: unit-command --gtest_filter=Framing.FramesCome*");
    Random random(seed);
    std::vector<Frame> sent;
    std::vector<std::uint8_t> stream;
    for (unsigned i = 0; i < 200; ++i) {
        Frame frame{std::string(random.below(40), 'x'), std::vector<std::uint8_t>(random.below(300))};
        for (auto& byte : frame.blob)
            byte = static_cast<std::uint8_t>(random.next());
        const auto bytes = write_frame(frame);
        stream.insert(stream.end(), bytes.begin(), bytes.end());
        sent.push_back(std::move(frame));
    }
    std::vector<std::uint8_t> buffer;
    std::size_t fed = 0, received = 0;
    while (fed < stream.size()) {
        const std::size_t chunk = std::min<std::size_t>(1 + random.below(700), stream.size() - fed);
        const auto from = stream.begin() + static_cast<std::ptrdiff_t>(fed);
        buffer.insert(buffer.end(), from, from + static_cast<std::ptrdiff_t>(chunk));
        fed += chunk;
        for (;;) {
            auto taken = take_frame(buffer);
            ASSERT_TRUE(taken.ok());
            if (!taken.value()) break;
            ASSERT_LT(received, sent.size());
            EXPECT_EQ(taken.value()->json, sent[received].json);
            EXPECT_EQ(taken.value()->blob, sent[received].blob);
            ++received;
        }
    }
    EXPECT_EQ(received, sent.size());
    EXPECT_TRUE(buffer.empty());
}

// Proves that an impossible length is refused as soon as it is seen, before anything is awaited or allocated
// for it.
TEST(Framing, ImpossibleLengthsAreProtocolErrors) {
    const auto most = static_cast<std::uint32_t>(kFrameBytesMax);
    for (const auto& [body, json] :
         std::vector<std::pair<std::uint32_t, std::uint32_t>>{{most + 1, 0},
                                                              {0xffffffffu, 0},
                                                              {0xffffffffu, 0xffffffffu},
                                                              {0, 1},
                                                              {10, 11},
                                                              {most, most + 1},
                                                              {most, 0xffffffffu}}) {
        auto buffer = prefix(body, json);
        const auto taken = take_frame(buffer);
        ASSERT_FALSE(taken.ok()) << body << ' ' << json;
        EXPECT_EQ(taken.error().code, ErrorCode::protocol_error);
    }
    std::vector<std::uint8_t> four{0xff, 0xff, 0xff, 0xff};
    EXPECT_FALSE(take_frame(four).ok());
}

// Proves that the limit itself is allowed: the largest body passes, and an empty one does.
TEST(Framing, LargestAndEmptyBodiesPass) {
    auto buffer = write_frame(Frame{"{}", std::vector<std::uint8_t>(kFrameBytesMax - 2, 0x5a)});
    auto taken = take_frame(buffer);
    ASSERT_TRUE(taken.ok() && taken.value());
    EXPECT_EQ(taken.value()->blob.size(), kFrameBytesMax - 2);
    EXPECT_TRUE(buffer.empty());

    buffer = write_frame(Frame{});
    taken = take_frame(buffer);
    ASSERT_TRUE(taken.ok() && taken.value());
    EXPECT_TRUE(taken.value()->json.empty());
    EXPECT_TRUE(taken.value()->blob.empty());
}

// Proves that writing a frame beyond the limit is a programmer error, not a peer's problem.
TEST(FramingDeathTest, OversizedFrameIsAsserted) {
    const Frame frame{"{}", std::vector<std::uint8_t>(kFrameBytesMax)};
    EXPECT_DEATH(static_cast<void>(write_frame(frame)), "invariant broken");
}

// Proves that text from outside never throws: broken, deep or no objects are refused with protocol_error.
TEST(Documents, HostileTextIsRefused) {
    const std::string deep(1u << 20, '[');
    const std::string deep_objects = [] {
        std::string text;
        for (int i = 0; i < 200'000; ++i)
            text += R"({"a":)";
        return text;
    }();
    for (const std::string& text :
         {std::string(), std::string("{"), std::string("[]"), std::string("7"), std::string("null"),
          std::string("\"text\""), std::string("{}x"), std::string("{\"a\":1,}"),
          std::string("{\"a\":\"\xff\"}"), std::string("\0", 1), std::string("{\"a\":1e999999}"), deep,
          deep_objects, deep + std::string(deep.size(), ']')}) {
        const auto document = parse_document(text);
        ASSERT_FALSE(document.ok()) << text.substr(0, 40);
        EXPECT_EQ(document.error().code, ErrorCode::protocol_error);
    }
}

// Proves that deep nesting inside an object is read and freed without using up the stack.
TEST(Documents, DeepNestingIsHarmless) {
    const std::string text = "{\"a\":" + std::string(1u << 20, '[') + std::string(1u << 20, ']') + "}";
    EXPECT_TRUE(parse_document(text).ok());
}

// Proves that a document with a name that is not UTF-8 can be written, instead of ending the process by an
// exception.
TEST(Documents, InvalidUtf8IsReplacedWhenWritten) {
    nlohmann::json document;
    document["reason"] = std::string("bad \xff name");
    const std::string text = write_document(document);
    EXPECT_EQ(text, "{\"reason\":\"bad \xEF\xBF\xBD name\"}");
    EXPECT_TRUE(parse_document(text).ok());
}

// Proves that 64-bit store numbers keep every digit on their way through text.
TEST(Documents, SixtyFourBitNumbersStayExact) {
    for (const std::uint64_t number : {std::uint64_t{0}, std::uint64_t{1} << 53, (std::uint64_t{1} << 53) + 1,
                                       std::uint64_t{1} << 63, ~std::uint64_t{0}, ~std::uint64_t{0} - 1}) {
        const auto document = parse_document(write_document(nlohmann::json{{"store", number}}));
        ASSERT_TRUE(document.ok());
        EXPECT_EQ(document.value()["store"].get<std::uint64_t>(), number);
    }
}

// Proves that hex keeps every byte value, reads both cases and refuses everything else.
TEST(Hex, RoundTripAndRefusals) {
    std::vector<std::uint8_t> all(256);
    for (std::size_t i = 0; i < all.size(); ++i)
        all[i] = static_cast<std::uint8_t>(i);
    auto back = unhex(hex(all));
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(back.value(), all);
    EXPECT_EQ(hex(std::vector<std::uint8_t>{0x0f, 0xa0}), "0fa0");
    EXPECT_EQ(unhex("0FA0").value(), (std::vector<std::uint8_t>{0x0f, 0xa0}));
    EXPECT_TRUE(unhex("").value().empty());
    for (const std::string_view text : {"0", "0g", "g0", "0x", " 0", "00 ", "\xff\xff", "000"})
        EXPECT_FALSE(unhex(text).ok()) << text;
}

// Proves that every error of ours survives the way to the other process with its code and text.
TEST(Answers, ErrorsKeepCodeAndText) {
    for (unsigned i = 0; i <= static_cast<unsigned>(ErrorCode::internal); ++i) {
        const Error error{static_cast<ErrorCode>(i), "store 7: open it first"};
        const auto document = parse_document(write_document(failure_answer(41, error)));
        ASSERT_TRUE(document.ok());
        EXPECT_EQ(document.value()["re"], 41);
        const auto outcome = outcome_of(document.value());
        ASSERT_FALSE(outcome.ok());
        EXPECT_EQ(outcome.error().code, error.code);
        EXPECT_EQ(outcome.error().text, error.text);
    }
    EXPECT_TRUE(outcome_of(success_answer(3)).ok());
    EXPECT_EQ(success_answer(~std::uint64_t{0})["re"].get<std::uint64_t>(), ~std::uint64_t{0});
    EXPECT_EQ(error_code_from("no such code"), ErrorCode::internal);
}

// Proves that an answer that is none is not taken for success.
TEST(Answers, MalformedAnswersAreProtocolErrors) {
    for (const char* text :
         {"{}", R"({"ok":1})", R"({"ok":"true"})", R"({"ok":false})", R"({"ok":false,"code":7,"text":""})"}) {
        const auto outcome = outcome_of(nlohmann::json::parse(text));
        ASSERT_FALSE(outcome.ok()) << text;
        EXPECT_EQ(outcome.error().code, ErrorCode::protocol_error) << text;
    }
}

}  // namespace
}  // namespace longhaul::command
