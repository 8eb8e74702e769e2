#pragma once

// Whether a client needs a file, and which part of it: the conditions and ranges of a GET or HEAD
// (RFC 9110, 13 and 14).

#include <cstdint>
#include <string>
#include <string_view>

#include "daemon/http/message.h"

namespace cloister {

// What tells one form of a file from another.
struct Validators {
  std::string_view etag;      // strong, in its quotes
  std::int64_t modified = 0;  // seconds since 1970
};

enum class Condition {
  kServe,
  kNotModified,  // 304
  kFailed,       // 412
};

// If-Match, else If-Unmodified-Since; then If-None-Match, else If-Modified-Since. A date counts as
// unchanged only when it is exactly `modified`: after a rollback the present file is the older one,
// and one that a client got since would pass for it. What is no date is as if it were not there.
Condition CheckConditions(const HttpRequest& request, const Validators& file);

struct FilePart {
  enum class Kind {
    kWhole,          // 200
    kRange,          // 206, `size` bytes from `first`
    kUnsatisfiable,  // 416
  };
  Kind kind = Kind::kWhole;
  std::uint64_t first = 0;
  std::uint64_t size = 0;
};

// Range, where If-Range does not rule it out. One range of bytes is served; of several, of another
// unit, of one that is malformed and for another method than GET, the whole file.
FilePart ChoosePart(const HttpRequest& request, const Validators& file, std::uint64_t file_size);

// The Content-Range of a 206 or 416 about that part.
std::string ContentRange(const FilePart& part, std::uint64_t file_size);

}  // namespace cloister
