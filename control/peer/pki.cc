// Making certificates with OpenSSL.
// SPDX-License-Identifier: Apache-2.0
#include "control/peer/pki.h"

#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>

#include "control/config/values.h"

namespace longhaul::control::pki {
namespace {

template <auto Free>
struct Deleter {
    template <typename T>
    void operator()(T* object) const {
        Free(object);
    }
};
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>>;
using File = std::unique_ptr<std::FILE, Deleter<std::fclose>>;

constexpr std::string_view kPrefix = "site:";
constexpr long kBackdateS = 300;  // clocks of the sites may differ a little

Error openssl_error(const std::string& what) {
    std::array<char, 256> text{};
    ERR_error_string_n(ERR_get_error(), text.data(), text.size());
    ERR_clear_error();
    return Error{ErrorCode::internal, what + ": " + text.data()};
}

Result<void> write_new(const std::string& path, mode_t mode, const std::function<bool(std::FILE*)>& write) {
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0 && errno == EEXIST)
        return Error{ErrorCode::already_exists, path + " exists and is not overwritten: move it away first"};
    if (fd < 0) return Error{ErrorCode::io_error, path + ": " + std::strerror(errno)};
    File file(fdopen(fd, "w"));
    const bool written = file && write(file.get()) && std::fflush(file.get()) == 0 && fsync(fd) == 0;
    if (written) return {};
    unlink(path.c_str());
    return Error{ErrorCode::io_error, path + ": cannot be written: " + std::strerror(errno)};
}

Result<void> must_be_absent(const IssuedFiles& files) {
    std::error_code ignored;
    for (const std::string& path : {files.certificate, files.key})
        if (std::filesystem::exists(path, ignored))
            return Error{ErrorCode::already_exists,
                         path + " exists and is not overwritten: move it away first"};
    return {};
}

Result<void> write_pair(const IssuedFiles& files, X509* certificate, EVP_PKEY* key) {
    auto result = write_new(files.key, 0600, [&](std::FILE* out) {
        return PEM_write_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr) == 1;
    });
    if (!result) return result;
    result = write_new(files.certificate, 0644,
                       [&](std::FILE* out) { return PEM_write_X509(out, certificate) == 1; });
    if (!result) unlink(files.key.c_str());
    return result;
}

bool set_random_serial(X509* certificate) {
    std::array<unsigned char, 16> bytes{};
    if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return false;
    bytes[0] = static_cast<unsigned char>((bytes[0] & 0x3f) | 0x40);  // positive, and always 16 bytes
    const std::unique_ptr<BIGNUM, Deleter<BN_free>> number(
        BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
    return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
    return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

// Subject, key, serial and life time; the issuer's name and the signature come from the caller.
Certificate unsigned_certificate(const std::string& common_name, EVP_PKEY* key, int days) {
    Certificate certificate(X509_new());
    if (!certificate) return nullptr;
    X509_NAME* subject = X509_get_subject_name(certificate.get());
    const bool made = X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
                      set_random_serial(certificate.get()) &&
                      X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kBackdateS) &&
                      X509_time_adj_ex(X509_getm_notAfter(certificate.get()), days, 0, nullptr) &&
                      X509_set_pubkey(certificate.get(), key) == 1 &&
                      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                                 reinterpret_cast<const unsigned char*>(common_name.data()),
                                                 static_cast<int>(common_name.size()), -1, 0) == 1;
    return made ? std::move(certificate) : nullptr;
}

// Alternative names in OpenSSL's notation; parts are checked first, as a comma would begin another name.
Result<std::string> alternative_names(const SiteNames& names) {
    std::string out = "URI:" + std::string(kPrefix) + names.site;
    for (const std::string& dns : names.dns) {
        if (dns.empty() || dns.size() > 253 ||
            dns.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") !=
                std::string::npos)
            return Error{ErrorCode::invalid_argument,
                         in_quotes(dns) + " is not a DNS name: use letters, digits, '.' and '-'"};
        out += ",DNS:" + dns;
    }
    for (const std::string& ip : names.ip) {
        if (ip_family(ip) == IpFamily::none)
            return Error{ErrorCode::invalid_argument,
                         in_quotes(ip) + " is not an IP address: write e.g. 192.0.2.1"};
        out += ",IP:" + ip;
    }
    return out;
}

std::string without_prefix(const unsigned char* text, int length) {
    const std::string_view name(reinterpret_cast<const char*>(text),
                                static_cast<std::size_t>(std::max(length, 0)));
    if (!name.starts_with(kPrefix) || !name_is_valid(name.substr(kPrefix.size()))) return {};
    return std::string(name.substr(kPrefix.size()));
}

}  // namespace

Result<IssuedFiles> init(const std::string& directory, const std::string& name) {
    if (name.empty() || name.size() > 64)
        return Error{ErrorCode::invalid_argument,
                     "the CA's name must have 1 to 64 characters: give it with --name"};
    std::error_code failure;
    if (std::filesystem::create_directories(directory, failure)) chmod(directory.c_str(), 0700);
    if (failure) return Error{ErrorCode::io_error, directory + ": " + failure.message()};
    IssuedFiles files{directory + "/ca.pem", directory + "/ca.key"};
    if (auto result = must_be_absent(files); !result) return result.error();

    const Key key(EVP_EC_gen("P-256"));
    const Certificate certificate = key ? unsigned_certificate(name, key.get(), kCaDays) : nullptr;
    X509* const ca = certificate.get();
    if (!ca || X509_set_issuer_name(ca, X509_get_subject_name(ca)) != 1 ||
        !add_extension(ca, ca, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !add_extension(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_extension(ca, ca, NID_subject_key_identifier, "hash") ||
        X509_sign(ca, key.get(), EVP_sha256()) == 0)
        return openssl_error("the CA certificate cannot be made");
    if (auto result = write_pair(files, ca, key.get()); !result) return result.error();
    return files;
}

Result<IssuedFiles> issue(const std::string& directory, const SiteNames& names) {
    if (!name_is_valid(names.site))
        return Error{ErrorCode::invalid_argument,
                     in_quotes(names.site) +
                         " is not a site name: use a-z, 0-9 and '-', at most 63, not starting with '-'"};
    if (names.site == "ca")
        return Error{ErrorCode::invalid_argument,
                     "a site cannot be named \"ca\": its files would be the CA's"};
    const auto alternatives = alternative_names(names);
    if (!alternatives) return alternatives.error();
    IssuedFiles files{directory + "/" + names.site + ".pem", directory + "/" + names.site + ".key"};
    if (auto result = must_be_absent(files); !result) return result.error();

    const File ca_file(std::fopen((directory + "/ca.pem").c_str(), "r"));
    const File ca_key_file(std::fopen((directory + "/ca.key").c_str(), "r"));
    if (!ca_file || !ca_key_file)
        return Error{ErrorCode::not_found,
                     directory + " has no ca.pem and ca.key: run longhaul pki init --directory " + directory};
    const Certificate ca(PEM_read_X509(ca_file.get(), nullptr, nullptr, nullptr));
    const Key ca_key(PEM_read_PrivateKey(ca_key_file.get(), nullptr, nullptr, nullptr));
    if (!ca || !ca_key)
        return openssl_error(directory + "/ca.pem or ca.key is not a PEM file that OpenSSL reads");

    const Key key(EVP_EC_gen("P-256"));
    const Certificate certificate =
        key ? unsigned_certificate(std::string(kPrefix) + names.site, key.get(), kSiteDays) : nullptr;
    X509* const site = certificate.get();
    if (!site || X509_set_issuer_name(site, X509_get_subject_name(ca.get())) != 1 ||
        !add_extension(site, ca.get(), NID_basic_constraints, "critical,CA:FALSE") ||
        !add_extension(site, ca.get(), NID_key_usage, "critical,digitalSignature") ||
        !add_extension(site, ca.get(), NID_ext_key_usage, "clientAuth,serverAuth") ||
        !add_extension(site, ca.get(), NID_subject_key_identifier, "hash") ||
        !add_extension(site, ca.get(), NID_authority_key_identifier, "keyid:always") ||
        !add_extension(site, ca.get(), NID_subject_alt_name, alternatives.value()) ||
        X509_sign(site, ca_key.get(), EVP_sha256()) == 0)
        return openssl_error("the certificate cannot be made");
    if (auto result = write_pair(files, site, key.get()); !result) return result.error();
    return files;
}

std::string site_of(X509* certificate) {
    if (!certificate) return {};
    std::vector<std::string> sites;
    const std::unique_ptr<GENERAL_NAMES, Deleter<GENERAL_NAMES_free>> names(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
        if (name->type != GEN_URI) continue;
        const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
        if (auto site = without_prefix(ASN1_STRING_get0_data(uri), ASN1_STRING_length(uri)); !site.empty())
            sites.push_back(std::move(site));
    }
    if (!sites.empty()) return sites.size() == 1 ? sites.front() : std::string{};
    X509_NAME* subject = X509_get_subject_name(certificate);
    const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) return {};
    const ASN1_STRING* common_name = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    return without_prefix(ASN1_STRING_get0_data(common_name), ASN1_STRING_length(common_name));
}

}  // namespace longhaul::control::pki
