// The wait that memif's disconnect leaves out (see burst_gate.h): this process's munmap, when EAL's interrupt
// thread calls it, first lets the bursts end that may still read the mapping. All other callers go straight
// to the kernel.
// SPDX-License-Identifier: Apache-2.0
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <mutex>

#include "drivers/nic/burst_gate.h"
#include "drivers/nic/interrupt_thread.h"

namespace longhaul::nic {
namespace {

std::mutex gates_mutex;
BurstGate* gates = nullptr;  // guarded by gates_mutex

}  // namespace

BurstGate::BurstGate() {
    const std::lock_guard lock(gates_mutex);
    next_ = gates;
    gates = this;
}

BurstGate::~BurstGate() {
    const std::lock_guard lock(gates_mutex);
    BurstGate** link = &gates;
    while (*link != this)
        link = &(*link)->next_;
    *link = next_;
}

void BurstGate::close() noexcept {
    closers_.fetch_add(1, std::memory_order_seq_cst);
    for (const Inside& inside : inside_)
        while (inside.flag.load(std::memory_order_seq_cst))
            sched_yield();  // a burst lasts microseconds
}

// Closed for the length of the wait, so that a busy poller cannot starve it.
void wait_for_all_bursts() noexcept {
    const std::lock_guard lock(gates_mutex);
    for (BurstGate* gate = gates; gate != nullptr; gate = gate->next_) {
        gate->close();
        gate->open();
    }
}

}  // namespace longhaul::nic

extern "C" int munmap(void* address, size_t length) noexcept {
    if (longhaul::nic::on_interrupt_thread()) longhaul::nic::wait_for_all_bursts();
    return static_cast<int>(syscall(SYS_munmap, address, length));
}
