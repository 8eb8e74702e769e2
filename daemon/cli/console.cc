#include "daemon/cli/console.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "apis/base/unicode.h"

namespace cloister {
namespace {

std::string_view Sequence(Paint paint) {
  switch (paint) {
    case Paint::kPlain:
      return "";
    case Paint::kBold:
      return "\x1b[1m";
    case Paint::kDim:
      return "\x1b[2m";
    case Paint::kGreen:
      return "\x1b[32m";
    case Paint::kRed:
      return "\x1b[31m";
    case Paint::kYellow:
      return "\x1b[33m";
  }
  return "";
}

std::string Painted(bool colours, Paint paint, std::string_view text) {
  if (!colours || paint == Paint::kPlain)
    return std::string(text);
  return std::string(Sequence(paint)) + std::string(text) + "\x1b[0m";
}

// Writing to a closed pipe ends the process (SIGPIPE); a full disk is found out at the end, in
// main.
void Put(std::FILE* file, std::string_view bytes) {
  (void)std::fwrite(bytes.data(), 1, bytes.size(), file);
}

std::string Indented(std::string_view text) {
  std::string indented;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    indented += "  " + std::string(text.substr(0, end)) + "\n";
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return indented;
}

// The bytes of the code point at the front; 0 when there is none.
std::size_t CodePointLength(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  return IsUtf8(text.substr(0, length)) && text.size() >= length ? length : 0;
}

// C1 controls, separators of lines, and marks that turn the direction of text around.
bool SteersText(char32_t point) {
  return (point >= 0x80 && point < 0xa0) || (point >= 0x2028 && point <= 0x202e) ||
         (point >= 0x2066 && point <= 0x2069);
}

// With what steers text as \uNNNN, and `write` (bytes, code point) for the rest; bytes that are not
// UTF-8 come one by one, with 0.
template <typename Write>
std::string WithEscapes(std::string_view text, Write write) {
  std::string escaped;
  while (!text.empty()) {
    const std::size_t length = CodePointLength(text);
    const std::string_view taken = text.substr(0, std::max<std::size_t>(length, 1));
    const std::u32string points = DecodeUtf8(taken).value_or(std::u32string());
    const char32_t point = length == 0 || points.empty() ? 0 : points.front();
    escaped += SteersText(point) ? fmt::format("\\u{:04x}", static_cast<std::uint32_t>(point))
                                 : write(taken, point);
    text.remove_prefix(taken.size());
  }
  return escaped;
}

bool IsSet(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

}  // namespace

Console::Options Console::Detect(Format format) {
  const char* term = std::getenv("TERM");
  const bool dumb = term != nullptr && std::string_view(term) == "dumb";
  Options options;
  options.format = format;
  options.out_terminal = ::isatty(STDOUT_FILENO) == 1;
  options.err_terminal = ::isatty(STDERR_FILENO) == 1 && !dumb;
  options.colours = !IsSet("NO_COLOR") && !dumb;
  return options;
}

void Console::Raw(std::string_view bytes) {
  ClearStatus();
  Put(options_.out, json() && options_.out_terminal ? HarmlessJson(bytes) : std::string(bytes));
  (void)std::fflush(options_.out);
}

void Console::Line(std::string_view line) {
  if (!json())
    Raw(std::string(line) + "\n");
}

void Console::Note(std::string_view line) {
  if (json())
    return;
  ClearStatus();
  Put(options_.err, std::string(line) + "\n");
  (void)std::fflush(options_.err);
}

void Console::Status(std::string_view line) {
  if (!live())
    return;
  ClearStatus();
  Put(options_.err, line);
  (void)std::fflush(options_.err);
  status_shown_ = !line.empty();
}

void Console::ClearStatus() {
  if (status_shown_)
    Put(options_.err, "\r\x1b[K");
  status_shown_ = false;
}

void Console::Show(const Failure& failure) {
  if (failure.shown)
    return;
  if (json()) {
    const nlohmann::json shown = {{"error",
                                   {{"code", failure.code},
                                    {"message", failure.what},
                                    {"detail", failure.detail},
                                    {"advice", failure.advice}}}};
    Raw(shown.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    return;
  }
  std::string text = ErrColour(Paint::kRed, "error[" + Harmless(failure.code) + "]") + ": " +
                     ErrColour(Paint::kBold, Harmless(failure.what)) + "\n";
  text += Indented(Harmless(failure.detail));
  if (!failure.advice.empty())
    text += ErrColour(Paint::kGreen, "help") + ": " + Harmless(failure.advice) + "\n";
  text.pop_back();
  Note(text);
}

void Console::Table(const std::vector<std::string>& titles,
                    const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  widths.reserve(titles.size());
  for (const std::string& title : titles)
    widths.push_back(Columns(title));
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], Columns(row[i]));
  const auto line = [&widths](const std::vector<std::string>& row) {
    std::string text;
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      if (i + 1 < row.size())
        text.append(widths[i] - Columns(row[i]) + 2, ' ');
    }
    return text;
  };
  Line(Colour(Paint::kDim, line(titles)));
  for (const auto& row : rows)
    Line(line(row));
}

std::string Console::Colour(Paint paint, std::string_view text) const {
  return Painted(options_.colours && options_.out_terminal, paint, text);
}

std::string Console::ErrColour(Paint paint, std::string_view text) const {
  return Painted(options_.colours && options_.err_terminal, paint, text);
}

std::string Harmless(std::string_view text) {
  return WithEscapes(text, [](std::string_view taken, char32_t point) {
    const bool is_control = point < 0x20 && point != '\t' && point != '\n';
    return is_control || point == 0x7f
               ? fmt::format("\\x{:02x}", static_cast<unsigned char>(taken.front()))
               : std::string(taken);
  });
}

std::string HarmlessJson(std::string_view json) {
  return WithEscapes(json, [](std::string_view taken, char32_t point) {
    return point == 0x7f ? std::string("\\u007f") : std::string(taken);
  });
}

std::string OneLine(std::string_view text) {
  std::string line;
  for (const char c : text)
    if (c == '\n')
      line += "\\n";
    else if (c == '\t')
      line += "\\t";
    else
      line += c;
  return Harmless(line);
}

std::size_t Columns(std::string_view text) {
  std::size_t columns = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    // Our own colours take no room.
    if (text.substr(i).starts_with("\x1b["))
      i = std::min(text.find('m', i), text.size());
    else if ((static_cast<unsigned char>(text[i]) & 0xc0U) != 0x80)
      ++columns;
  }
  return columns;
}

}  // namespace cloister
