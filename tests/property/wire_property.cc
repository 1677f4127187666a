// For everything that travels: what is written is read back equal, and damaged bytes either do not parse or
// mean exactly what they say (writing the parsed value gives the same bytes). Replay: RC_PARAMS="seed=..." as
// printed.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/property/generators.h"

namespace longhaul::property {
namespace {

Bytes written(const wire::Header& header, std::size_t sealed_bytes) {
    Bytes bytes(wire::kHeaderBytes + sealed_bytes, 0x3c);
    wire::write_header(header, bytes.data());
    return bytes;
}

Bytes written(const wire::Ping& ping) {
    Bytes bytes(wire::kPingBytes);
    wire::write_ping(ping, bytes.data());
    return bytes;
}

Bytes written(const wire::Feedback& feedback) {
    Bytes bytes(64 * 1024);
    bytes.resize(wire::write_feedback(feedback, bytes));
    RC_ASSERT(!bytes.empty());
    return bytes;
}

Bytes written(const wire::Manifest& manifest) {
    auto bytes = wire::write_manifest(manifest);
    if (!bytes.ok()) RC_FAIL(bytes.error().text);
    return std::move(bytes).value();
}

Bytes framed(const wire::UdpTuple& tuple, ByteView payload) {
    Bytes frame(wire::udp_overhead_bytes(tuple) + payload.size());
    std::copy(payload.begin(), payload.end(), frame.end() - static_cast<std::ptrdiff_t>(payload.size()));
    wire::write_udp_frame(tuple, payload.size(), wire::UdpChecksum::computed, frame.data());
    return frame;
}

void expect_same(const wire::UdpTuple& a, const wire::UdpTuple& b) {
    RC_ASSERT(a.source_mac == b.source_mac && a.target_mac == b.target_mac);
    RC_ASSERT(a.source_ip == b.source_ip && a.target_ip == b.target_ip);
    RC_ASSERT(a.source_port == b.source_port && a.target_port == b.target_port);
    RC_ASSERT(a.traffic_class == b.traffic_class && a.hop_limit == b.hop_limit && a.vlan == b.vlan);
}

RC_GTEST_PROP(PacketProperty, RoundTrip, ()) {
    const wire::Header header = property::header();
    const std::size_t payload = header.type == wire::PacketType::close ? 0 : below(2000);
    const Bytes bytes = written(header, payload + wire::kTagBytes);
    wire::PacketView view;
    RC_ASSERT(wire::parse_packet(bytes, view) == wire::DropReason::none);
    RC_ASSERT(view.header == header);
    RC_ASSERT(view.sealed.size() == payload + wire::kTagBytes);
}

RC_GTEST_PROP(PacketProperty, DamageIsRefusedOrMeansWhatItSays, ()) {
    const Bytes bytes = damaged(written(property::header(), wire::kTagBytes + below(9)));
    wire::PacketView view;
    if (wire::parse_packet(bytes, view) != wire::DropReason::none) return;
    RC_ASSERT(written(view.header, 0) == Bytes(view.header_bytes.begin(), view.header_bytes.end()));
}

RC_GTEST_PROP(PingProperty, RoundTripAndDamage, ()) {
    const wire::Ping ping = property::ping();
    wire::Ping parsed;
    RC_ASSERT(wire::parse_ping(written(ping), parsed) == wire::DropReason::none);
    RC_ASSERT(parsed == ping);
    const Bytes bytes = damaged(written(ping));
    if (wire::parse_ping(bytes, parsed) == wire::DropReason::none) RC_ASSERT(written(parsed) == bytes);
}

RC_GTEST_PROP(FeedbackProperty, RoundTrip, ()) {
    const wire::Feedback feedback = property::feedback();
    wire::Feedback parsed;
    RC_ASSERT(wire::parse_feedback(written(feedback), parsed) == wire::DropReason::none);
    RC_ASSERT(parsed == feedback);
}

RC_GTEST_PROP(FeedbackProperty, DamageIsRefusedOrMeansWhatItSays, ()) {
    const Bytes bytes = damaged(written(property::feedback()));
    wire::Feedback parsed;
    if (wire::parse_feedback(bytes, parsed) == wire::DropReason::none) RC_ASSERT(written(parsed) == bytes);
}

RC_GTEST_PROP(ManifestProperty, RoundTrip, ()) {
    const wire::Manifest manifest = property::manifest();
    const auto parsed = wire::parse_manifest(written(manifest));
    if (!parsed.ok()) RC_FAIL(parsed.error().text);
    RC_ASSERT(parsed.value() == manifest);
}

RC_GTEST_PROP(ManifestProperty, DamageIsRefusedOrMeansWhatItSays, ()) {
    const Bytes bytes = damaged(written(property::manifest()));
    const auto parsed = wire::parse_manifest(bytes);
    if (!parsed.ok()) return;
    RC_ASSERT(written(parsed.value()) == bytes);
    for (const wire::Entry& entry : parsed.value().entries) {
        RC_ASSERT(entry.path.empty() || wire::path_is_safe(entry.path));
    }
}

RC_GTEST_PROP(TrailerProperty, RoundTripAndDamage, ()) {
    const wire::Trailer trailer = property::trailer();
    const auto parsed = wire::parse_trailer(wire::write_trailer(trailer));
    RC_ASSERT(parsed.ok());
    RC_ASSERT(parsed.value() == trailer);
    const Bytes bytes = damaged(wire::write_trailer(trailer));
    if (const auto other = wire::parse_trailer(bytes)) RC_ASSERT(wire::write_trailer(other.value()) == bytes);
}

RC_GTEST_PROP(FrameProperty, RoundTrip, ()) {
    const wire::UdpTuple tuple = udp_tuple();
    const Bytes payload = bytes_of(below(300)), frame = framed(tuple, payload);
    wire::UdpFrameView view;
    RC_ASSERT(wire::parse_udp_frame(frame, true, view) == wire::DropReason::none);
    expect_same(view.tuple, tuple);
    RC_ASSERT(Bytes(view.payload.begin(), view.payload.end()) == payload);
}

RC_GTEST_PROP(FrameProperty, DamageIsRefusedOrStaysInside, ()) {
    const Bytes frame = damaged(framed(udp_tuple(), bytes_of(below(100))));
    wire::UdpFrameView view;
    if (wire::parse_udp_frame(frame, below(2) == 0, view) != wire::DropReason::none) return;
    RC_ASSERT(view.payload.data() >= frame.data());
    RC_ASSERT(view.payload.data() + view.payload.size() <= frame.data() + frame.size());
    const Bytes again = framed(view.tuple, view.payload);
    wire::UdpFrameView second;
    RC_ASSERT(wire::parse_udp_frame(again, true, second) == wire::DropReason::none);
    expect_same(second.tuple, view.tuple);
}

}  // namespace
}  // namespace longhaul::property
