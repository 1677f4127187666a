// The project's small certificate authority: one CA, one certificate a site, whose identity is the URI
// "site:<name>". Keys are ECDSA P-256, files 0600; nothing is ever overwritten.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "dataplane/base/result.h"

typedef struct x509_st X509;

namespace longhaul::control::pki {

inline constexpr int kCaDays = 3650;
inline constexpr int kSiteDays = 730;

struct IssuedFiles {
    std::string certificate, key;
};
// Writes ca.pem and ca.key into `directory`, which is made (0700) if it is not there.
Result<IssuedFiles> init(const std::string& directory, const std::string& name);

struct SiteNames {
    std::string site;
    std::vector<std::string> dns, ip;
};
// Writes <site>.pem and <site>.key, signed by the directory's CA, for client and server authentication.
Result<IssuedFiles> issue(const std::string& directory, const SiteNames& names);

// The site that a certificate speaks for: the URI "site:<name>" among its alternative names, else its common
// name. Empty when it names none, or more than one.
std::string site_of(X509* certificate);

}  // namespace longhaul::control::pki
