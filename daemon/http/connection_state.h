#pragma once

// The life of one connection, and the only places it may move to.

#include <array>
#include <cstddef>

namespace cloister {

enum class ConnectionState {
  kIdle,        // between requests: nothing of the next one is here
  kHead,        // a part of a head is here
  kBody,        // the head is complete, its body is not
  kHandling,    // a handler has the request; nothing of the response is there
  kResponding,  // the response has begun
  kFlushing,    // the response is complete, the client takes it
  kLingering,   // our side is shut; what still comes is read and dropped
  kClosed,      // final
};

inline constexpr std::size_t kConnectionStates = 8;

inline constexpr std::array<const char*, kConnectionStates> kConnectionStateNames = {
    "idle", "head", "body", "handling", "responding", "flushing", "lingering", "closed"};

// Row: from. Column: to. A dot means "never".
inline constexpr std::array<const char*, kConnectionStates> kConnectionTransitions = {
    // idle head body handling responding flushing lingering closed
    ".xxx.x.x",  // idle:       a part of a head, a head, a whole request, a refusal, the end
    "..xx.x.x",  // head:       a head, a whole request, a refusal, the end
    "...x.x.x",  // body:       complete, a refusal, the end
    "x...xx.x",  // handling:   answered at once, begun, answered and to be flushed, aborted
    "x....x.x",  // responding: complete, to be flushed, aborted or client gone
    "x.....xx",  // flushing:   taken, taken and to be closed, client gone
    ".......x",  // lingering:  the client closed, or the time is over
    "........",  // closed:     final
};

constexpr bool MayMove(ConnectionState from, ConnectionState to) {
  return kConnectionTransitions[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)] ==
         'x';
}

static_assert(MayMove(ConnectionState::kIdle, ConnectionState::kHandling));
static_assert(!MayMove(ConnectionState::kClosed, ConnectionState::kIdle));

}  // namespace cloister
