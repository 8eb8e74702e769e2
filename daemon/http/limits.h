#pragma once

// Limits of what is read as a request.

#include <cstddef>

#include "apis/wire/channel.h"

namespace cloister {

struct HttpLimits {
  // Bytes of a request line with its headers and the empty line after them; 431 beyond. An encoded
  // RequestHead of that size with kHeadersMax headers must fit kHeadMax.
  std::size_t head_max = 32 * 1024;
  // Bytes of a target; 414 beyond.
  std::size_t target_max = 8 * 1024;
  // Headers of a request; 431 beyond.
  std::size_t headers_max = kHeadersMax;
  // Bytes of the trailer section after a chunked body; 431 beyond.
  std::size_t trailer_max = 8 * 1024;
};

}  // namespace cloister
