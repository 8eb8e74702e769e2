#pragma once

// Finds an app's secrets in what it logs and puts their names in their place.
//
// One pass over the text, whatever the number of secrets (Aho-Corasick), so that nobody can make a
// log line expensive; every byte of every occurrence is replaced, overlapping ones together. A
// value of several lines is looked for line by line as well: that is how it is printed. All are
// looked for in the forms of secret_forms.h, too. Immutable.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cloister {

// A shorter value stands in too much that is no secret.
inline constexpr std::size_t kRedactedMin = 8;

// All forms of an app's secrets, beside the plain ones, take no more bytes; those of later secrets
// are not looked for.
inline constexpr std::size_t kFormsBytesMax = std::size_t{64} * 1024;

// What a text ends with whose end was cut off.
inline constexpr std::string_view kCutMark = "...";

struct NamedSecret {
  std::string_view name;
  std::string_view value;
};

class Redactor {
 public:
  // Null when there is nothing to look for. The secrets are copied.
  static std::shared_ptr<const Redactor> Create(std::span<const NamedSecret> secrets);
  Redactor(const Redactor&) = delete;
  Redactor& operator=(const Redactor&) = delete;
  // What it held is overwritten.
  ~Redactor();

  // Where text was cut off, so that a secret may have lost its end.
  enum class End { kWhole, kCut };
  // Replaces what it finds. Whether there was any. `before`: what was said right before; the end of
  // a secret that begins there is found, too.
  bool Redact(std::string& text, End end = End::kWhole, std::string_view before = {}) const;
  // The same for text that whoever cuts it ends with kCutMark.
  bool RedactMarked(std::string& text) const;

 private:
  // A node of the trie: its text is that of its parent and one byte more.
  struct Node {
    std::uint32_t first_edge = 0;  // its edges, sorted by byte
    std::uint32_t fail = 0;        // the longest proper suffix of its text that is a node
    std::uint32_t depth = 0;
    std::uint32_t longest = 0;  // pattern that ends here: its length; 0: none
    std::uint32_t name = 0;     // of that pattern
    std::uint16_t edges = 0;
  };
  struct Edge {
    unsigned char byte = 0;
    std::uint32_t to = 0;
  };
  struct Hit {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::uint32_t name = 0;
    std::uint32_t length = 0;  // of the longest pattern in it, whose name that is
  };
  struct Builder;

  Redactor() = default;
  std::uint32_t Next(std::uint32_t node, unsigned char byte) const;
  // 0: there is no such edge.
  std::uint32_t Child(std::uint32_t node, unsigned char byte) const;
  void Link();
  void LinkChild(std::uint32_t node, const Edge& edge);
  // Those that overlap become one, with the name of the longest.
  static void AddHit(std::vector<Hit>& hits, Hit hit);
  // Of any secret that begins with the node's text.
  std::uint32_t NameBelow(std::uint32_t node) const;
  std::vector<Hit> Find(std::string_view before, std::string_view text, End end) const;

  std::vector<Node> nodes_;  // the root is the first
  std::vector<Edge> edges_;
  std::vector<std::string> names_;
};

struct LogEvent;

// Replaces the event's secrets in all that an app can put into it: its bytes, its fields, its
// logger's name. It is flagged when there was something, and has no `secrets` any more.
void RedactEvent(LogEvent& event);

}  // namespace cloister
