#pragma once

// Which form of a file a client wants: as it is, or one that was compressed beforehand
// (RFC 9110, 12.5.3).

#include <optional>
#include <span>
#include <string_view>

#include "daemon/http/message.h"

namespace cloister {

struct ContentCoding {
  std::string_view name;    // of Content-Encoding
  std::string_view suffix;  // of the file beside the plain one
};

// In the order that is kept where a client likes both alike.
inline constexpr ContentCoding kContentCodings[] = {{.name = "br", .suffix = ".br"},
                                                    {.name = "gzip", .suffix = ".gz"}};

// What Accept-Encoding says of each form.
class AcceptedCodings {
 public:
  // Of all headers of that name. Without one, and of what cannot be read in them, nothing is
  // wanted but the plain form.
  static AcceptedCodings Of(std::span<const HttpHeader> headers);

  // How much the client wants that form, in thousandths; 0: not at all.
  int QualityOf(std::string_view coding) const;
  // Of the plain form. Where no header rules it out, it is there for those who like nothing better.
  int identity() const { return identity_.value_or(any_ == 0 ? 0 : 1); }

 private:
  void ReadElement(std::string_view element);

  std::optional<int> brotli_;
  std::optional<int> gzip_;
  std::optional<int> identity_;
  std::optional<int> any_;  // "*": of those that are not named
};

}  // namespace cloister
