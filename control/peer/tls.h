// Mutual TLS between sites: TLS 1.3 only, the CA named explicitly (never the system's or the environment's),
// and the far end is who its certificate says ("site:<name>"), whatever host name or address it is reached
// by.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/ssl.h>

#include <string>

#include "control/config/config.h"
#include "dataplane/base/result.h"

namespace longhaul::control::tls {

// At start: the files are there, belong together, are valid now, and speak for this site.
Result<void> check_files(const PkiConfig& pki, const std::string& own_site);

bool configure_server(SSL_CTX& context, const PkiConfig& pki);  // a client certificate is required

// Handshakes fail unless the server's certificate is signed by the CA and names `expected_site`, which is
// borrowed for the life of the context.
bool configure_client(SSL_CTX& context, const PkiConfig& pki, const std::string& expected_site);

std::string peer_site(const SSL* connection);  // empty: no certificate or no identity in it

}  // namespace longhaul::control::tls
