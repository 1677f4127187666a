// HKDF by OpenSSL's EVP_KDF, and the labels of the key schedule. Everything secret that stands in a buffer of
// ours is wiped before the buffer goes.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/crypto/secret.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <memory>
#include <string_view>

namespace longhaul::crypto {
namespace {

constexpr std::string_view kLaneLabel = "longhaul lane";
constexpr std::string_view kPhaseLabel = "longhaul phase";
constexpr std::string_view kKeyLabel = "longhaul key";
constexpr std::string_view kIvLabel = "longhaul iv";
constexpr std::size_t kExpandBytesMax = 255 * 32;

Error failed(const char* what) {
    return Error{ErrorCode::internal,
                 std::string("OpenSSL: ") + what +
                     " failed: check that its default provider is enabled in openssl.cnf"};
}

OSSL_PARAM octets(const char* name, ByteView bytes) {
    static const std::uint8_t kNothing = 0;  // OpenSSL takes an empty string, but not a null pointer
    const std::uint8_t* data = bytes.empty() ? &kNothing : bytes.data();
    return OSSL_PARAM_construct_octet_string(name, const_cast<std::uint8_t*>(data), bytes.size());
}

// `extra` is the salt (extract) or the info (expand).
Result<void> hkdf(int mode, ByteView key, const char* extra_name, ByteView extra, MutableByteView out) {
    const std::unique_ptr<EVP_KDF, decltype(&EVP_KDF_free)> kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr),
                                                                EVP_KDF_free);
    if (!kdf) return failed("fetching HKDF");
    const std::unique_ptr<EVP_KDF_CTX, decltype(&EVP_KDF_CTX_free)> context(EVP_KDF_CTX_new(kdf.get()),
                                                                            EVP_KDF_CTX_free);
    if (!context) return failed("creating an HKDF context");
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
                                     OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
                                     octets(OSSL_KDF_PARAM_KEY, key), octets(extra_name, extra),
                                     OSSL_PARAM_construct_end()};
    if (EVP_KDF_derive(context.get(), out.data(), out.size(), parameters) != 1) return failed("HKDF");
    return {};
}

Result<LaneSecret> expand_secret(const LaneSecret& secret, ByteView info) {
    LaneSecret out;
    const auto done = hkdf_expand(secret, info, out.bytes);
    if (!done.ok()) return done.error();
    return out;
}

}  // namespace

LaneSecret::~LaneSecret() {
    OPENSSL_cleanse(bytes.data(), bytes.size());
}

KeyMaterial::~KeyMaterial() {
    OPENSSL_cleanse(key.data(), key.size());
    OPENSSL_cleanse(iv.data(), iv.size());
}

Result<LaneSecret> hkdf_extract(ByteView salt, ByteView input_key) {
    LaneSecret out;
    const auto done = hkdf(EVP_KDF_HKDF_MODE_EXTRACT_ONLY, input_key, OSSL_KDF_PARAM_SALT, salt, out.bytes);
    if (!done.ok()) return done.error();
    return out;
}

Result<void> hkdf_expand(const LaneSecret& secret, ByteView info, MutableByteView out) {
    if (out.size() > kExpandBytesMax)
        return Error{ErrorCode::invalid_argument, "HKDF-SHA-256 yields at most 8160 bytes"};
    if (out.empty()) return {};
    return hkdf(EVP_KDF_HKDF_MODE_EXPAND_ONLY, secret.bytes, OSSL_KDF_PARAM_INFO, info, out);
}

Result<void> random_bytes(MutableByteView out) {
    constexpr std::size_t kCallBytesMax = 1u << 30;  // RAND_bytes counts in int
    while (!out.empty()) {
        const std::size_t count = std::min(out.size(), kCallBytesMax);
        if (RAND_bytes(out.data(), static_cast<int>(count)) != 1) return failed("reading random bytes");
        out = out.subspan(count);
    }
    return {};
}

Result<LaneSecret> session_secret(const LinkSecret& link, const SessionNonce& initiator,
                                  const SessionNonce& responder) {
    std::array<std::uint8_t, 64> salt;
    std::copy(initiator.begin(), initiator.end(), salt.begin());
    std::copy(responder.begin(), responder.end(), salt.begin() + 32);
    return hkdf_extract(salt, link.bytes);
}

Result<LaneSecret> lane_secret(const LaneSecret& session, std::uint32_t spi, std::uint8_t path,
                               std::uint8_t lane) {
    std::array<std::uint8_t, kLaneLabel.size() + 6> info;
    ByteWriter writer(info);
    writer.bytes(as_bytes(kLaneLabel));
    writer.u32(spi);
    writer.u8(path);
    writer.u8(lane);
    return expand_secret(session, info);
}

Result<LaneSecret> next_phase(const LaneSecret& phase) {
    return expand_secret(phase, as_bytes(kPhaseLabel));
}

Result<KeyMaterial> key_material(const LaneSecret& phase) {
    KeyMaterial out;
    auto done = hkdf_expand(phase, as_bytes(kKeyLabel), out.key);
    if (done.ok()) done = hkdf_expand(phase, as_bytes(kIvLabel), out.iv);
    if (!done.ok()) return done.error();
    return out;
}

}  // namespace longhaul::crypto
