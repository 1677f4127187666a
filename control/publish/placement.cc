// Canonical first, judged second, created third, name by name beneath the root.
// SPDX-License-Identifier: Apache-2.0
#include "control/publish/placement.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "control/capture/tree.h"

namespace longhaul::control {

namespace {

bool beneath(const std::string& root, const std::string& path) {
    if (root == "/") return true;
    return path == root || path.starts_with(root + "/");
}

int open_beneath(int root, const std::string& path) {
    open_how how{};
    how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    return static_cast<int>(syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
}

// Makes `relative` beneath `root` one name at a time, so that a symlink slipped in meanwhile is refused, not
// followed.
Result<void> create_beneath(const std::string& root, const std::string& relative) {
    const auto failed = [&](const std::string& what) {
        return Error{ErrorCode::io_error, "cannot create " + root + "/" + what + ": " + std::strerror(errno) +
                                              "; create it by hand, or correct the permissions"};
    };
    const Descriptor top(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!top.valid()) return failed("");
    for (std::size_t end = 0; end != std::string::npos;) {
        end = relative.find('/', end + 1);
        const std::string part = relative.substr(0, end);
        const std::size_t slash = part.rfind('/');
        const std::string above = slash == std::string::npos ? "." : part.substr(0, slash);
        const std::string name = slash == std::string::npos ? part : part.substr(slash + 1);
        const Descriptor parent(open_beneath(top.get(), above));
        if (!parent.valid()) return failed(above);
        if (mkdirat(parent.get(), name.c_str(), 0755) != 0 && errno != EEXIST) return failed(part);
        if (!Descriptor(open_beneath(top.get(), part)).valid()) return failed(part);
    }
    return {};
}

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names)
        text += (text.empty() ? "" : ", ") + name;
    return text;
}

}  // namespace

Result<std::string> directory_of_store(const std::string& store) {
    constexpr std::string_view kScheme = "posix:";
    if (!store.starts_with(kScheme))
        return Error{ErrorCode::invalid_argument,
                     "store \"" + shown_path(store) +
                         "\" is of a kind that does not exist here: write posix:/absolute/path"};
    std::string directory = store.substr(kScheme.size());
    if (directory.empty() || directory[0] != '/' || directory.find('\0') != std::string::npos)
        return Error{ErrorCode::invalid_argument,
                     "store \"" + shown_path(store) +
                         "\" must name an absolute directory: write posix:/absolute/path"};
    return directory;
}

Result<std::string> place_store(const std::vector<std::string>& allowed_roots, const std::string& store,
                                const std::string& held) {
    namespace fs = std::filesystem;
    if (allowed_roots.empty())
        return Error{ErrorCode::permission_denied,
                     "this site accepts no dataset: name a directory in allowed_roots of its configuration"};
    auto directory = directory_of_store(store);
    if (!directory) return directory.error();
    std::error_code failure;
    // Symlinks that exist are followed here, and the result judged: one that leads out of the root is an
    // escape.
    std::string wanted = fs::weakly_canonical(directory.value(), failure).string();
    if (failure)
        return Error{ErrorCode::io_error,
                     "directory " + shown_path(directory.value()) + ": " + failure.message()};
    while (wanted.size() > 1 && wanted.back() == '/')
        wanted.pop_back();
    for (const auto& allowed : allowed_roots) {
        const std::string root = fs::canonical(allowed, failure).string();
        if (failure || !beneath(root, wanted)) continue;
        if (wanted == held && !fs::is_directory(wanted, failure))
            return Error{
                ErrorCode::not_found,
                "directory " + shown_path(wanted) +
                    ", which held the replica, is gone: mount or put it back, and replication resumes by "
                    "itself; if what it held is lost, remove the dataset and create it again"};
        if (wanted != held && wanted.size() > root.size()) {
            const std::string relative = wanted.substr(root == "/" ? 1 : root.size() + 1);
            if (auto made = create_beneath(root, relative); !made) return made.error();
        }
        return wanted;
    }
    return Error{ErrorCode::permission_denied,
                 "target directory " + shown_path(wanted) + " is not beneath an allowed root of this site (" +
                     joined(allowed_roots) + "): choose one that is, or extend allowed_roots there"};
}

bool overlap(const std::string& one, const std::string& other) {
    return beneath(one, other) || beneath(other, one);
}

}  // namespace longhaul::control
