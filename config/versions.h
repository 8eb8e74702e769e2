#pragma once

// Versions of releases: SemVer 2.0.0, or a bare number such as a timestamp.
//
// The one place that reads and orders them: for the manifest, for the node when it decides whether
// a release may follow another, and for `cloister releases compare`.
//
// Numbers of any length compare as digit strings. A bare number N orders as N.0.0. For timestamps
// (8 digits and more) the written-out form N.0.0 is refused, so that one release has one spelling;
// for shorter numbers both spellings are allowed but the same version. `+build` is
// refused: it has no order.

#include <array>
#include <compare>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/result.h"

namespace cloister {

// The longest version, in bytes.
inline constexpr std::size_t kVersionMax = 64;

class Version {
 public:
  // kInvalidArgument: "'TEXT' is no version: why".
  static Result<Version> Parse(std::string_view text);

  // As it was written.
  const std::string& text() const { return text_; }

  // Precedence; equal for the two spellings of one number.
  std::strong_ordering operator<=>(const Version& other) const;
  bool operator==(const Version& other) const { return (*this <=> other) == 0; }

 private:
  Version() = default;
  Result<void> ParseCore(std::string_view core);

  std::string text_;
  std::array<std::string, 3> core_ = {"0", "0", "0"};
  std::vector<std::string> pre_release_;
};

}  // namespace cloister
