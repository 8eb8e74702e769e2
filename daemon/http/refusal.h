#pragma once

// Why a request is refused before any handler sees it. The texts are static.

#include <string_view>

namespace cloister {

struct HttpRefusal {
  int status = 400;
  std::string_view code;  // stable, as in docs/errors.md
  std::string_view detail;
};

}  // namespace cloister
