// Bring-up and sharing of cryptodevs; see crypto_devices.h. Called at start and stop only, from any thread.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/crypto/crypto_devices.h"

#include <rte_cryptodev.h>
#include <rte_dev.h>
#include <rte_errno.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <set>

#include "dataplane/wire/packet.h"

namespace longhaul::crypto {
namespace {

constexpr const char* kBus = "vdev";
constexpr std::uint16_t kQueuePairsMax = 64;
constexpr std::uint32_t kDescriptors = 1024;  // hardware rings have a minimum; burst is at most 256

struct Users {
    std::set<std::uint16_t> queue_pairs;  // in use
    std::uint16_t configured = 0;         // 0: not started
    bool ours = false;                    // a virtual device that we made and shall remove
};

std::mutex users_mutex;
std::map<std::uint8_t, Users>& users() {
    static std::map<std::uint8_t, Users> all;
    return all;
}

Error refusal(ErrorCode code, const std::string& name, const std::string& text) {
    return Error{code, "crypto device '" + name + "': " + text};
}

Result<std::uint8_t> make_virtual(const std::string& name, const AeadConfig& config) {
    std::string arguments = "max_nb_queue_pairs=1";
    if (config.socket >= 0) arguments += ",socket_id=" + std::to_string(config.socket);
    const int made = rte_eal_hotplug_add(kBus, name.c_str(), arguments.c_str());
    if (made == -EEXIST)
        return refusal(ErrorCode::already_exists, name, "exists already: give each worker its own number");
    const int device = made == 0 ? rte_cryptodev_get_dev_id(name.c_str()) : -1;
    if (device >= 0) return static_cast<std::uint8_t>(device);
    if (made == 0) rte_eal_hotplug_remove(kBus, name.c_str());  // some other kind of device
    const std::string cause = made < 0 ? " (" + std::string(rte_strerror(-made)) + ")" : "";
    return refusal(
        ErrorCode::unavailable, name,
        "cannot be created" + cause +
            ": install the DPDK crypto drivers (librte-crypto-ipsec-mb23) or set crypto_device to one "
            "that exists");
}

Result<void> check_capability(std::uint8_t device, const rte_cryptodev_info& info, const std::string& name) {
    rte_cryptodev_sym_capability_idx index{};
    index.type = RTE_CRYPTO_SYM_XFORM_AEAD;
    index.algo.aead = RTE_CRYPTO_AEAD_AES_GCM;
    const auto* capability = rte_cryptodev_sym_capability_get(device, &index);
    const bool has_gcm =
        capability != nullptr &&
        rte_cryptodev_sym_capability_check_aead(capability, 32, wire::kTagBytes, wire::kHeaderBytes, 12) == 0;
    if (!has_gcm || (info.feature_flags & RTE_CRYPTODEV_FF_OOP_LB_IN_LB_OUT) == 0)
        return refusal(ErrorCode::invalid_argument, name,
                       "has no out-of-place AES-256-GCM: set crypto_device to crypto_aesni_gcm");
    return {};
}

Result<void> start(std::uint8_t device, const rte_cryptodev_info& info, const AeadConfig& config,
                   const std::string& name, Users& state) {
    std::uint16_t pairs = kQueuePairsMax;
    if (info.max_nb_queue_pairs != 0)
        pairs = static_cast<std::uint16_t>(std::min<unsigned>(kQueuePairsMax, info.max_nb_queue_pairs));
    rte_cryptodev_config settings{};
    settings.socket_id = config.socket;
    settings.nb_queue_pairs = pairs;
    settings.ff_disable = RTE_CRYPTODEV_FF_ASYMMETRIC_CRYPTO | RTE_CRYPTODEV_FF_SECURITY;
    int done = rte_cryptodev_configure(device, &settings);
    rte_cryptodev_qp_conf pair{};
    pair.nb_descriptors = kDescriptors;
    for (std::uint16_t i = 0; done == 0 && i < pairs; ++i)
        done = rte_cryptodev_queue_pair_setup(device, i, &pair, config.socket);
    if (done == 0) done = rte_cryptodev_start(device);
    if (done != 0)
        return refusal(ErrorCode::unavailable, name,
                       "cannot be started (" + std::string(rte_strerror(-done)) + "): raise memory_mib");
    state.configured = pairs;
    return {};
}

Result<AttachedDevice> join(std::uint8_t device, const std::string& name, std::uint16_t queue_pair, bool ours,
                            const AeadConfig& config) {
    rte_cryptodev_info info{};
    rte_cryptodev_info_get(device, &info);
    if (auto able = check_capability(device, info, name); !able.ok()) return able.error();
    Users& state = users()[device];
    state.ours = ours;
    if (state.queue_pairs.empty())
        if (auto started = start(device, info, config, name, state); !started.ok()) return started.error();
    if (queue_pair >= state.configured)
        return refusal(
            ErrorCode::exhausted, name,
            "has " + std::to_string(state.configured) + " queue pairs: use no more workers than that");
    if (!state.queue_pairs.insert(queue_pair).second)
        return refusal(ErrorCode::already_exists, name, "this worker has its queue pair already");
    return AttachedDevice{name, device, queue_pair,
                          (info.feature_flags & RTE_CRYPTODEV_FF_HW_ACCELERATED) != 0};
}

void drop_if_unused(std::uint8_t device, const std::string& name) noexcept {
    const auto found = users().find(device);
    if (found == users().end() || !found->second.queue_pairs.empty()) return;
    if (found->second.configured != 0) rte_cryptodev_stop(device);
    if (found->second.ours) rte_eal_hotplug_remove(kBus, name.c_str());
    users().erase(found);
}

}  // namespace

Result<AttachedDevice> attach_device(const AeadConfig& config) {
    const std::lock_guard lock(users_mutex);
    if (const int existing = rte_cryptodev_get_dev_id(config.device.c_str()); existing >= 0) {
        const auto device = static_cast<std::uint8_t>(existing);
        auto joined = join(device, config.device, static_cast<std::uint16_t>(config.worker), false, config);
        if (!joined.ok()) drop_if_unused(device, config.device);
        return joined;
    }
    const std::string name = config.device + std::to_string(config.worker);
    const auto made = make_virtual(name, config);
    if (!made.ok()) return made.error();
    auto joined = join(made.value(), name, 0, true, config);
    if (joined.ok()) return joined;
    users()[made.value()].ours = true;
    drop_if_unused(made.value(), name);
    return joined;
}

void detach_device(const AttachedDevice& device) noexcept {
    const std::lock_guard lock(users_mutex);
    const auto found = users().find(device.device);
    if (found == users().end()) return;
    found->second.queue_pairs.erase(device.queue_pair);
    drop_if_unused(device.device, device.name);
}

}  // namespace longhaul::crypto
