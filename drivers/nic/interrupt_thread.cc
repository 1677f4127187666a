// SPDX-License-Identifier: Apache-2.0
#include "drivers/nic/interrupt_thread.h"

#include <pthread.h>
#include <rte_alarm.h>

#include <condition_variable>
#include <cstring>
#include <mutex>

namespace longhaul::nic {
namespace {

struct Errand {
    void (*work)(void*);
    void* argument;
    std::mutex mutex{};
    std::condition_variable finished{};
    bool done = false;  // guarded by mutex
};

void run_errand(void* pointer) {
    auto& errand = *static_cast<Errand*>(pointer);
    errand.work(errand.argument);
    const std::lock_guard lock(errand.mutex);
    errand.done = true;
    errand.finished.notify_one();  // under the lock: the errand lives on the waiter's stack
}

}  // namespace

bool on_interrupt_thread() noexcept {
    char name[16] = {};  // read each time: EAL names the thread after it has started
    return pthread_getname_np(pthread_self(), name, sizeof name) == 0 &&
           std::strcmp(name, "eal-intr-thread") == 0;
}

void run_on_interrupt_thread(void (*work)(void*), void* argument) {
    Errand errand{work, argument};
    if (on_interrupt_thread() || rte_eal_alarm_set(1, run_errand, &errand) != 0) {
        work(argument);  // no alarm to be had: as good as it was without this file
        return;
    }
    std::unique_lock lock(errand.mutex);
    errand.finished.wait(lock, [&] { return errand.done; });
}

}  // namespace longhaul::nic
