#pragma once

// What somebody reads who ends the command with Ctrl-C while the node goes on with what it asked
// for.
//
// For as long as it lives, SIGINT and SIGTERM write the text to standard error and then end the
// process as they always do. One at a time.

#include <string>

namespace cloister {

class LastWords {
 public:
  // `text` is a line without its end.
  explicit LastWords(const std::string& text);
  LastWords(const LastWords&) = delete;
  LastWords& operator=(const LastWords&) = delete;
  ~LastWords();
};

}  // namespace cloister
