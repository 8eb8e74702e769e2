#pragma once

// The states of a release and the moves between them (design: releases).
//
//   received -> verified -> compiled -> booted -> checked -> live -> draining -> kept
//
// Everything before live may end in rejected. A canary serves a share of the requests beside the
// live release, until it is promoted or withdrawn. A release that was only to be checked is kept
// when it is. A rollback makes a draining or kept release live again. The names are on disk and in
// the admin API.

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace cloister {

enum class ReleaseState {
  kReceived,
  kVerified,
  kCompiled,
  kBooted,
  kChecked,
  kCanary,
  kLive,
  kDraining,
  kKept,
  kRejected,
};

inline constexpr std::size_t kReleaseStates = 10;

inline constexpr std::array<std::string_view, kReleaseStates> kReleaseStateNames = {
    "received", "verified", "compiled", "booted", "checked",
    "canary",   "live",     "draining", "kept",   "rejected"};

// Row: from. Column: to. A dot means "never".
inline constexpr std::array<std::string_view, kReleaseStates> kReleaseTransitions = {
    // received verified compiled booted checked canary live draining kept rejected
    ".x.......x",  // received: hashes, sizes and manifest hold
    "..x......x",  // verified: every module has bytecode
    "...x.....x",  // compiled: a worker imported the entry point
    "....x....x",  // booted:   the checks passed
    ".....xx.xx",  // checked:  the database says that it serves; or a check was all that was wanted
    "......xx..",  // canary:   promoted; or withdrawn, or another release took its place
    ".......x..",  // live:     another release took its place
    "......x.x.",  // draining: nothing runs on it any more; or rolled back to
    "......x...",  // kept:     rolled back to, or promoted
    "..........",  // rejected: for good; the version may be sent again as another attempt
};

constexpr bool MayMove(ReleaseState from, ReleaseState to) {
  return kReleaseTransitions[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)] == 'x';
}

constexpr std::string_view ReleaseStateName(ReleaseState state) {
  return kReleaseStateNames[static_cast<std::size_t>(state)];
}

constexpr std::optional<ReleaseState> ReleaseStateOf(std::string_view name) {
  for (std::size_t i = 0; i < kReleaseStates; ++i)
    if (kReleaseStateNames[i] == name)
      return static_cast<ReleaseState>(i);
  return std::nullopt;
}

// Whether a deploy is under way: neither serving (or later) nor rejected.
constexpr bool IsUnfinished(ReleaseState state) {
  return state < ReleaseState::kCanary;
}

}  // namespace cloister
