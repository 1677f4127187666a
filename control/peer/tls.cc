// OpenSSL contexts for both ends.
// SPDX-License-Identifier: Apache-2.0
#include "control/peer/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

#include <array>
#include <cstdio>
#include <memory>

#include "control/peer/pki.h"

namespace longhaul::control::tls {
namespace {

std::string last_error() {
    std::array<char, 256> text{};
    ERR_error_string_n(ERR_get_error(), text.data(), text.size());
    ERR_clear_error();
    return text.data();
}

bool configure_common(SSL_CTX& context, const PkiConfig& pki) {
    SSL_CTX_set_options(&context, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(&context, SSL_SESS_CACHE_OFF);
    return SSL_CTX_set_min_proto_version(&context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_use_certificate_chain_file(&context, pki.certificate.c_str()) == 1 &&
           SSL_CTX_use_PrivateKey_file(&context, pki.key.c_str(), SSL_FILETYPE_PEM) == 1 &&
           SSL_CTX_check_private_key(&context) == 1 &&
           SSL_CTX_load_verify_locations(&context, pki.ca.c_str(), nullptr) == 1;
}

int verify_server(X509_STORE_CTX* store, void* expected) {
    if (X509_verify_cert(store) != 1) return 0;
    if (pki::site_of(X509_STORE_CTX_get0_cert(store)) == *static_cast<const std::string*>(expected)) return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
    return 0;
}

}  // namespace

bool configure_server(SSL_CTX& context, const PkiConfig& pki) {
    if (!configure_common(context, pki)) return false;
    SSL_CTX_set_client_CA_list(&context, SSL_load_client_CA_file(pki.ca.c_str()));
    SSL_CTX_set_verify(&context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    return true;
}

bool configure_client(SSL_CTX& context, const PkiConfig& pki, const std::string& expected_site) {
    if (!configure_common(context, pki)) return false;
    SSL_CTX_set_verify(&context, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(&context, verify_server, const_cast<std::string*>(&expected_site));
    return true;
}

std::string peer_site(const SSL* connection) {
    if (!connection) return {};
    return pki::site_of(SSL_get0_peer_certificate(connection));
}

Result<void> check_files(const PkiConfig& pki, const std::string& own_site) {
    const auto refuse = [](std::string text) { return Error{ErrorCode::invalid_argument, std::move(text)}; };
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_method()), SSL_CTX_free);
    if (!context) return Error{ErrorCode::internal, "OpenSSL: " + last_error()};
    if (SSL_CTX_use_certificate_chain_file(context.get(), pki.certificate.c_str()) != 1)
        return refuse("[pki] certificate " + pki.certificate + " cannot be read (" + last_error() +
                      "): make it with longhaul pki issue --site " + own_site);
    if (SSL_CTX_use_PrivateKey_file(context.get(), pki.key.c_str(), SSL_FILETYPE_PEM) != 1)
        return refuse("[pki] key " + pki.key + " cannot be read or does not belong to " + pki.certificate +
                      " (" + last_error() + ")");
    if (SSL_CTX_load_verify_locations(context.get(), pki.ca.c_str(), nullptr) != 1)
        return refuse("[pki] ca " + pki.ca + " cannot be read (" + last_error() +
                      "): make it with longhaul pki init");
    X509* const own = SSL_CTX_get0_certificate(context.get());
    if (pki::site_of(own) != own_site)
        return refuse("[pki] certificate " + pki.certificate + " speaks for " +
                      in_quotes("site:" + pki::site_of(own)) + ", not for " + in_quotes("site:" + own_site) +
                      ": issue one with longhaul pki issue --site " + own_site);
    const std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> check(X509_STORE_CTX_new(),
                                                                                X509_STORE_CTX_free);
    if (!check || X509_STORE_CTX_init(check.get(), SSL_CTX_get_cert_store(context.get()), own, nullptr) != 1)
        return Error{ErrorCode::internal, "OpenSSL: " + last_error()};
    if (X509_verify_cert(check.get()) != 1)
        return refuse("[pki] certificate " + pki.certificate + " does not verify against " + pki.ca + ": " +
                      X509_verify_cert_error_string(X509_STORE_CTX_get_error(check.get())));
    return {};
}

}  // namespace longhaul::control::tls
