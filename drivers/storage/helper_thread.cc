// What a helper's thread is, whatever its jobs.
// SPDX-License-Identifier: Apache-2.0
#include "drivers/storage/helper_thread.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

namespace longhaul::storage {

namespace {

// A worker is pinned to its core and masks nothing; its helper must share neither.
void become_a_helper(const char* name) noexcept {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        CPU_SET(cpu, &cpus);
    (void)pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
    (void)pthread_setname_np(pthread_self(), name);
}

}  // namespace

std::thread start_helper_thread(const char* name, std::function<void()> run) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // inherited
    std::thread thread([name, run = std::move(run)] {
        become_a_helper(name);
        run();
    });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread;
}

}  // namespace longhaul::storage
