// SPDX-License-Identifier: Apache-2.0
#include "drivers/wan/tool/tap.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace longhaul::wan {
namespace {

// This thread in another network namespace for the life of the object. What it opens meanwhile stays there.
class NamespaceVisit {
  public:
    explicit NamespaceVisit(const std::string& path)
        : home_(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
        const int there = open(path.c_str(), O_RDONLY | O_CLOEXEC);
        arrived_ = home_ >= 0 && there >= 0 && setns(there, CLONE_NEWNET) == 0;
        failure_ = arrived_ ? 0 : errno;
        if (there >= 0) close(there);
    }
    ~NamespaceVisit() {
        if (arrived_) LH_ASSERT(setns(home_, CLONE_NEWNET) == 0);
        if (home_ >= 0) close(home_);
    }
    NamespaceVisit(const NamespaceVisit&) = delete;
    NamespaceVisit& operator=(const NamespaceVisit&) = delete;
    int failure() const { return failure_; }

  private:
    int home_;
    bool arrived_ = false;
    int failure_ = 0;
};

}  // namespace

Result<std::unique_ptr<nic::Port>> open_device(nic::PortConfig config) {
    constexpr std::string_view kPrefix = "tap:";
    if (!config.device.starts_with(kPrefix)) return nic::Port::open(config);
    const std::string text = config.device.substr(kPrefix.size());
    const auto at = text.find('@');
    const std::string name = text.substr(0, at);
    if (name.empty() || name.size() >= IFNAMSIZ || name.find_first_of("/, ") != std::string::npos)
        return Error{
            ErrorCode::invalid_argument,
            "\"" + config.device + "\": an interface name has 1 to 15 characters, as in tap:wan-a@blue"};
    config.device = "net_tap_" + name + ",iface=" + name;
    if (at == std::string::npos) return nic::Port::open(config);
    const std::string space = text.substr(at + 1);
    const std::string path = space.starts_with('/') ? space : "/run/netns/" + space;
    // The device is made over there, not moved: its driver keeps sockets in the namespace that it was made
    // in.
    const NamespaceVisit visit(path);
    if (visit.failure() != 0)
        return Error{ErrorCode::not_found, "network namespace " + path + ": " +
                                               std::strerror(visit.failure()) +
                                               "; make it with: ip netns add " + space};
    return nic::Port::open(config);
}

}  // namespace longhaul::wan
