// The token's file and comparison.
// SPDX-License-Identifier: Apache-2.0
#include "control/api/token.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "dataplane/command/messages.h"

namespace longhaul::control {
namespace {

constexpr std::size_t kTokenBytes = 32;
constexpr std::size_t kTokenCharactersMin = 32;  // of one written by hand

Result<void> write_token(const std::string& file, const std::string& token) {
    const std::string fresh = file + ".new";  // renamed when whole, so that no crash leaves half a token
    unlink(fresh.c_str());
    const int fd = open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    const std::string line = token + "\n";
    const bool written =
        fd >= 0 && write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size()) && fsync(fd) == 0;
    const int error = errno;
    if (fd >= 0) close(fd);
    if (written && rename(fresh.c_str(), file.c_str()) == 0) return {};
    return Error{ErrorCode::io_error, "the token file " + file +
                                          " cannot be written: " + std::strerror(written ? errno : error) +
                                          ": make its directory writable or set token_file"};
}

}  // namespace

Result<std::string> load_token(const std::string& file) {
    const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return Error{errno == ENOENT ? ErrorCode::not_found : ErrorCode::permission_denied,
                     "the token file " + file + " cannot be read: " + std::strerror(errno)};
    std::array<char, 512> buffer{};
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    close(fd);
    std::string token(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    token.erase(token.find_last_not_of(" \t\r\n") + 1);
    const bool usable =
        token.size() >= kTokenCharactersMin && token.find_first_of(" \t\r\n") == std::string::npos;
    if (usable && got < static_cast<ssize_t>(buffer.size())) return token;
    return Error{ErrorCode::invalid_argument, "the token file " + file +
                                                  " does not hold one word of 32 to 510 characters: remove "
                                                  "it, and the next start of longhaul-control makes another"};
}

Result<std::string> load_or_create_token(const std::string& file) {
    struct stat status {};
    if (stat(file.c_str(), &status) == 0) {
        if (status.st_mode & (S_IRWXG | S_IRWXO))
            return Error{ErrorCode::permission_denied,
                         "the token file " + file + " is open to others: chmod 600 " + file};
        return load_token(file);
    }
    std::array<std::uint8_t, kTokenBytes> random{};
    if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1)
        return Error{ErrorCode::internal, "the system has no random numbers for the token"};
    const std::string token = command::hex(random);
    if (auto result = write_token(file, token); !result) return result.error();
    return token;
}

bool token_matches(std::string_view header, std::string_view token) {
    constexpr std::string_view kScheme = "Bearer ";
    if (!header.starts_with(kScheme)) return false;
    header.remove_prefix(kScheme.size());
    return header.size() == token.size() && CRYPTO_memcmp(header.data(), token.data(), token.size()) == 0;
}

}  // namespace longhaul::control
