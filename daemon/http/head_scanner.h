#pragma once

// Finds where a head (or a trailer section) ends, before anything is parsed.
//
// Works on lines, so that the parser gets a whole section in one piece, and refuses what llhttp
// lets through: a line that ends in LF alone, a folded line, a request line with other than two
// spaces, a protocol that is not HTTP/. Garbage is refused at its first byte or line, not at the
// time-out.

#include <cstddef>
#include <optional>
#include <string_view>

#include "daemon/http/limits.h"
#include "daemon/http/refusal.h"

namespace cloister {

class HeadScanner {
 public:
  enum class Section { kHead, kTrailer };
  enum class Outcome { kMore, kComplete, kRefused };

  explicit HeadScanner(Section section) : section_(section) {}

  // `bytes` is all that has arrived of the section so far (and maybe more behind it); what was
  // there at the last call is not looked at again.
  Outcome Scan(std::string_view bytes, const HttpLimits& limits);

  // After kComplete: where the section begins (after empty lines) and ends (after its empty line).
  std::size_t begin() const { return begin_; }
  std::size_t end() const { return position_; }
  // After kRefused.
  const HttpRefusal& refusal() const { return refusal_; }

 private:
  Outcome Refuse(const HttpRefusal& refusal);
  Outcome CheckUnfinished(std::string_view bytes, const HttpLimits& limits);
  std::optional<HttpRefusal> CheckLine(std::string_view line, const HttpLimits& limits);
  std::optional<HttpRefusal> CheckRequestLine(std::string_view line, const HttpLimits& limits);

  Section section_;
  std::size_t begin_ = 0;
  std::size_t position_ = 0;  // start of the first line that is not complete
  std::size_t searched_ = 0;  // no LF between position_ and here
  std::size_t lines_ = 0;     // not counting empty ones
  HttpRefusal refusal_;
};

}  // namespace cloister
