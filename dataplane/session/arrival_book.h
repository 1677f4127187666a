// One writer a bundle, whatever links it comes by: which bundles are being written here, who writes each, and which were
// published lately. A bundle is moved to another link under its id with a higher generation; then
//
//   older writer still takes bytes -> it is told to stop, the newer one begins when it has stopped
//   older writer already finishes  -> the newer one waits for its outcome
//   published without a failure    -> the newer one is answered, nothing is written twice
//   an older generation comes late -> stale: refused, it never writes again
//
// so bytes of two readings of a source never meet in one staging file. Pure; asked again until it does not say `wait`.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <map>

#include "dataplane/wire/manifest.h"

namespace longhaul::session {

class ArrivalBook {
  public:
    static constexpr std::size_t kRememberedMax = 16384;  // bundles that nobody writes

    struct Key {
        std::uint64_t store = 0;  // the target's
        wire::BundleId id;
        auto operator<=>(const Key&) const = default;
    };
    using Holder = std::uint64_t;  // one bundle on one session of one worker; never 0, never used again

    enum class Verdict : std::uint8_t { granted, wait, published, stale };
    Verdict ask(const Key& key, std::uint32_t generation, Holder holder);
    // Rises with every writer that has to stop: who has writers looks then.
    std::uint64_t revocations() const noexcept { return revocations_; }
    bool revoked(const Key& key, Holder holder) const;
    // All bytes are here: from now on the holder cannot be stopped. False: it has been; it must not finish.
    bool begin_finish(const Key& key, Holder holder);
    // The holder writes no more. `published`: whole, without a failed entry.
    void end(const Key& key, Holder holder, bool published);

    std::size_t size() const noexcept { return records_.size(); }

  private:
    struct Record {
        std::uint32_t newest = 0;  // generation
        Holder holder = 0;         // 0: nobody writes
        bool finishing = false, revoked = false, published = false;
        std::uint64_t rest = 0;  // since when nobody writes, counted
    };
    void grant(Record& record, Holder holder) noexcept;
    void forget_oldest();

    std::map<Key, Record> records_;
    std::deque<std::pair<Key, std::uint64_t>>
        resting_;  // in order; entries whose record has moved on are skipped
    std::uint64_t rests_ = 0, revocations_ = 0;
};

}  // namespace longhaul::session
