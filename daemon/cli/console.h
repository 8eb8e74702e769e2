#pragma once

// Where the command line writes: results to one stream, progress and errors to another.
//
// Colours and lines that change only on a terminal. What others wrote (log events, an app's
// traceback) goes through Harmless(), so that it cannot steer one.

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/cli/failure.h"

namespace cloister {

enum class Paint { kPlain, kBold, kDim, kGreen, kRed, kYellow };

class Console {
 public:
  enum class Format { kText, kJson };
  struct Options {
    std::FILE* out = stdout;
    std::FILE* err = stderr;
    Format format = Format::kText;
    bool out_terminal = false;  // colours, and nothing that steers the terminal, on `out`
    bool err_terminal = false;  // the same on `err`, and lines that change
    bool colours = false;       // on a stream that is a terminal
  };

  // What this process's stdout and stderr are; NO_COLOR and TERM=dumb are heeded.
  static Options Detect(Format format);

  explicit Console(const Options& options) : options_(options) {}

  bool json() const { return options_.format == Format::kJson; }
  bool live() const { return options_.err_terminal && !json(); }
  // Whether `out` shows bars: a terminal does.
  bool bars() const { return options_.out_terminal && !json(); }

  // To `out`, as it is, in both formats; JSON on a terminal by HarmlessJson().
  void Raw(std::string_view bytes);
  // A line to `out`; nothing in JSON format.
  void Line(std::string_view line);
  // A line to `err`; nothing in JSON format.
  void Note(std::string_view line);
  // Replaces the line that changes; an empty one takes it away. Only when live().
  void Status(std::string_view line);
  // The failure: for people to `err`, in JSON format as one object to `out`.
  void Show(const Failure& failure);
  // Columns under titles, the last one as wide as it is. Nothing in JSON format.
  void Table(const std::vector<std::string>& titles,
             const std::vector<std::vector<std::string>>& rows);

  // `text` in a colour when `out` has colours.
  std::string Colour(Paint paint, std::string_view text) const;

 private:
  void ClearStatus();
  std::string ErrColour(Paint paint, std::string_view text) const;

  Options options_;
  bool status_shown_ = false;
};

// `text` as printable UTF-8 with tabs and newlines: other control characters and bytes that are not
// UTF-8 as \xNN, what changes the direction or the line of text as \uNNNN.
std::string Harmless(std::string_view text);
// The same in one line, for a cell of a table.
std::string OneLine(std::string_view text);

// The same JSON without what steers a terminal: the characters that JSON itself lets through are
// written as \uNNNN.
std::string HarmlessJson(std::string_view json);

// How many columns UTF-8 `text` takes, each code point taken as one and colours as none.
std::size_t Columns(std::string_view text);

}  // namespace cloister
