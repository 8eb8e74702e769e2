#include "daemon/cli/last_words.h"

#include <unistd.h>

#include <csignal>
#include <string>

#include "apis/base/check.h"

namespace cloister {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM};

// A handler finds it here; it does not change while the handlers are in place.
std::string& Text() {
  static std::string text;
  return text;
}

extern "C" void SayAndEnd(int signal) {
  (void)!::write(STDERR_FILENO, Text().data(), Text().size());
  // The handler was for once: this ends the process, and its parent sees of what.
  (void)::raise(signal);
}

}  // namespace

LastWords::LastWords(const std::string& text) {
  CHECK(Text().empty());
  Text() = "\n" + text + "\n";
  struct sigaction action = {};
  action.sa_handler = &SayAndEnd;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int signal : kSignals)
    CHECK(::sigaction(signal, &action, nullptr) == 0);
}

LastWords::~LastWords() {
  for (const int each : kSignals)
    (void)::signal(each, SIG_DFL);
  Text().clear();
}

}  // namespace cloister
