#pragma once

// Lines of a terminal, edited and remembered: libedit behind our own types.
//
// ~/.editrc is read as other programs with libedit do. Ctrl-C drops the line.

#include <memory>
#include <string>

#include "apis/base/result.h"
#include "daemon/cli/interrupts.h"

namespace cloister {

class LineEditor {
 public:
  enum class Event { kLine, kInterrupted, kEnd };

  // On stdin and stdout, which are a terminal. `history`: a file of what was typed before, made and
  // kept for its owner only; empty: none. `interrupts` must outlive it.
  static Result<std::unique_ptr<LineEditor>> Create(Interrupts& interrupts, std::string history);
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;
  // Writes the history.
  ~LineEditor();

  // A line with its end, into `line`.
  Event Read(const std::string& prompt, std::string& line);
  // For the next time that Up is pressed.
  void Remember(const std::string& entry);

 private:
  struct Parts;
  explicit LineEditor(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace cloister
