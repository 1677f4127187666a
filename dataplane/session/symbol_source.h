// Which symbol of a stripe leaves next, and the parity rows for it. First pass: data 0..k-1, then m rows.
// Repair: rows that have never been sent (any of them fixes any loss), or, when much is missing, the data
// symbols themselves. Rows repeat only after all 128 have been used. Parity stands in the block behind a full
// stripe's data; in the first pass it is summed up eight symbols at a time, just before they leave, so that what
// encryption reads next is in the cache.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "dataplane/fec/codec.h"
#include "dataplane/session/parameters.h"
#include "dataplane/session/stripe_window.h"
#include "dataplane/wire/feedback.h"

namespace longhaul::session {

struct Symbol {
    const std::uint8_t* bytes = nullptr;  // valid until refills(stripe) is true and repair() is called
    std::uint8_t number = 0;              // as in the packet header
    bool parity() const noexcept { return number >= wire::kDataSymbolsMax; }
};

class SymbolSource {
  public:
    SymbolSource(const Parameters& parameters, const fec::Codec& codec)
        : parameters_(parameters), codec_(codec) {}

    Symbol first_pass(SentStripe& stripe) const noexcept;  // !stripe.sent()
    Symbol repair(SentStripe& stripe) const noexcept;      // stripe.repair_pending()
    // The next repair() writes new rows where older ones stand that may have been handed out.
    bool refills(const SentStripe& stripe) const noexcept {
        return (stripe.resend[0] | stripe.resend[1]) == 0 && stripe.slots_sent == stripe.slots_filled;
    }

    // Turns a request into pending repair; replaces what an older request left unsent.
    void ask(SentStripe& stripe, const wire::Nack& nack, double loss) const noexcept;

  private:
    void begin_slots(SentStripe& stripe, unsigned rows) const noexcept;
    std::uint8_t* slot(const SentStripe& stripe, unsigned index) const noexcept;

    Parameters parameters_;
    const fec::Codec& codec_;
};

}  // namespace longhaul::session
