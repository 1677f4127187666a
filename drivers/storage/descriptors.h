// The bound on open files across all bundles of a worker. A holder asks for a descriptor and is granted one
// now or later; a holder that has no I/O in flight rests and may lose its descriptor to one that waits, so
// that bundles with more half-done files than descriptors still move.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>

namespace longhaul::storage {

class Descriptors {
  public:
    class Holder {
      public:
        virtual void descriptor_granted() = 0;  // may open now
        virtual void descriptor_taken() = 0;    // was resting: must close now

      protected:
        ~Holder() = default;

      private:
        friend class Descriptors;
        enum class State : std::uint8_t { without, waiting, working, resting };
        State state_ = State::without;
        std::list<Holder*>::iterator place_;
    };

    explicit Descriptors(std::size_t open_max) : open_max_(open_max) {}
    Descriptors(const Descriptors&) = delete;
    Descriptors& operator=(const Descriptors&) = delete;

    void want(Holder& holder);   // from `without`
    void rest(Holder& holder);   // no I/O in flight; the descriptor stays open while nobody else needs it
    void work(Holder& holder);   // I/O again
    void leave(Holder& holder);  // from any state: the descriptor is closed, or no longer wanted
    std::size_t open() const noexcept { return open_; }

  private:
    void grant_next();

    std::size_t open_max_;
    std::size_t open_ = 0;
    std::list<Holder*> waiting_;
    std::list<Holder*> resting_;  // the longest-resting first
};

}  // namespace longhaul::storage
