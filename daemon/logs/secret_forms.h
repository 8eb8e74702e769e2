#pragma once

// The forms in which programs write a text: inside of what Python's repr, ascii and json.dumps
// make, and as urllib.parse.quote and quote_plus do.
//
// Without the quotes around it. What is returned is secret where the text is: wipe it.

#include <string>
#include <string_view>
#include <vector>

namespace cloister {

// Those that differ from `text` itself, each once.
std::vector<std::string> SecretFormsOf(std::string_view text);

}  // namespace cloister
