#include "daemon/logs/redactor.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "apis/backends/sodium.h"
#include "apis/wire/event_fields.h"
#include "daemon/logs/log_event.h"
#include "daemon/logs/secret_forms.h"

namespace cloister {
namespace {

// A line of a value of several lines that is worth looking for.
constexpr std::size_t kLineMin = 16;
// Of a secret whose end was cut off so much is looked for.
constexpr std::size_t kCutMin = 4;

// What is looked for of one secret.
std::vector<std::string_view> PatternsOf(std::string_view value) {
  std::vector<std::string_view> patterns;
  if (value.size() >= kRedactedMin)
    patterns.push_back(value);
  if (value.find('\n') == std::string_view::npos)
    return patterns;
  for (std::string_view rest = value; !rest.empty();) {
    const std::size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    // The frame of a key in PEM is no secret.
    if (line.size() >= kLineMin && !line.starts_with("-----"))
      patterns.push_back(line);
  }
  return patterns;
}

}  // namespace

struct Redactor::Builder {
  struct Trie {
    std::map<unsigned char, std::uint32_t> edges;
    std::uint32_t depth = 0;
    std::uint32_t longest = 0;
    std::uint32_t name = 0;
  };
  std::vector<Trie> nodes = std::vector<Trie>(1);

  void Add(std::string_view pattern, std::uint32_t name) {
    std::uint32_t node = 0;
    for (const char c : pattern) {
      const auto next = static_cast<std::uint32_t>(nodes.size());
      const auto [edge, is_new] = nodes[node].edges.emplace(static_cast<unsigned char>(c), next);
      const std::uint32_t depth = nodes[node].depth + 1;
      node = edge->second;
      if (is_new)
        nodes.push_back({.edges = {}, .depth = depth, .longest = 0, .name = 0});
    }
    if (nodes[node].longest == 0)
      nodes[node].name = name;
    nodes[node].longest = static_cast<std::uint32_t>(pattern.size());
  }
};

std::shared_ptr<const Redactor> Redactor::Create(std::span<const NamedSecret> secrets) {
  Builder builder;
  std::shared_ptr<Redactor> redactor(new Redactor);
  std::size_t forms_bytes = 0;
  for (const NamedSecret& secret : secrets) {
    const auto name = static_cast<std::uint32_t>(redactor->names_.size());
    redactor->names_.emplace_back(secret.name);
    for (const std::string_view pattern : PatternsOf(secret.value)) {
      builder.Add(pattern, name);
      for (std::string& form : SecretFormsOf(pattern)) {
        if (forms_bytes + form.size() <= kFormsBytesMax) {
          forms_bytes += form.size();
          builder.Add(form, name);
        }
        WipeBytes(form);
      }
    }
  }
  if (builder.nodes.size() == 1)
    return nullptr;
  for (const Builder::Trie& trie : builder.nodes) {
    redactor->nodes_.push_back({.first_edge = static_cast<std::uint32_t>(redactor->edges_.size()),
                                .fail = 0,
                                .depth = trie.depth,
                                .longest = trie.longest,
                                .name = trie.name,
                                .edges = static_cast<std::uint16_t>(trie.edges.size())});
    for (const auto& [byte, to] : trie.edges)
      redactor->edges_.push_back({.byte = byte, .to = to});
  }
  redactor->Link();
  return redactor;
}

Redactor::~Redactor() {
  // The edges spell the secrets.
  WipeMemory(edges_.data(), edges_.size() * sizeof(Edge));
}

// Breadth first: a node's suffixes are less deep than it.
void Redactor::Link() {
  std::vector<std::uint32_t> order = {0};
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::uint32_t node = order[i];
    const std::uint32_t end = nodes_[node].first_edge + nodes_[node].edges;
    for (std::uint32_t edge = nodes_[node].first_edge; edge < end; ++edge) {
      LinkChild(node, edges_[edge]);
      order.push_back(edges_[edge].to);
    }
  }
}

void Redactor::LinkChild(std::uint32_t node, const Edge& edge) {
  Node& child = nodes_[edge.to];
  child.fail = node == 0 ? 0 : Next(nodes_[node].fail, edge.byte);
  if (child.longest != 0)
    return;
  child.longest = nodes_[child.fail].longest;
  child.name = nodes_[child.fail].name;
}

std::uint32_t Redactor::Child(std::uint32_t node, unsigned char byte) const {
  const auto begin = edges_.begin() + nodes_[node].first_edge;
  const auto end = begin + nodes_[node].edges;
  const auto found = std::lower_bound(
      begin, end, byte, [](const Edge& edge, unsigned char b) { return edge.byte < b; });
  return found == end || found->byte != byte ? 0 : found->to;
}

std::uint32_t Redactor::Next(std::uint32_t node, unsigned char byte) const {
  for (;;) {
    if (const std::uint32_t child = Child(node, byte); child != 0)
      return child;
    if (node == 0)
      return 0;
    node = nodes_[node].fail;
  }
}

void Redactor::AddHit(std::vector<Hit>& hits, Hit hit) {
  while (!hits.empty() && hits.back().end > hit.begin) {
    const Hit& other = hits.back();
    hit.begin = std::min(hit.begin, other.begin);
    if (other.length >= hit.length) {
      hit.length = other.length;
      hit.name = other.name;
    }
    hits.pop_back();
  }
  hits.push_back(hit);
}

std::uint32_t Redactor::NameBelow(std::uint32_t node) const {
  while (nodes_[node].longest == 0)
    node = edges_[nodes_[node].first_edge].to;
  return nodes_[node].name;
}

std::vector<Redactor::Hit> Redactor::Find(std::string_view before, std::string_view text,
                                          End end) const {
  std::vector<Hit> hits;
  std::uint32_t node = 0;
  for (const char c : before)
    node = Next(node, static_cast<unsigned char>(c));
  for (std::size_t i = 0; i < text.size(); ++i) {
    node = Next(node, static_cast<unsigned char>(text[i]));
    if (const Node& at = nodes_[node]; at.longest != 0)
      AddHit(hits, {.begin = i + 1 - std::min<std::size_t>(at.longest, i + 1),
                    .end = i + 1,
                    .name = at.name,
                    .length = at.longest});
  }
  const std::uint32_t depth = nodes_[node].depth;
  // What began before and is not at its end is a part of one as well.
  const bool may_go_on = end == End::kCut || depth > text.size();
  if (may_go_on && depth >= kCutMin && !text.empty())
    AddHit(hits, {.begin = text.size() - std::min<std::size_t>(depth, text.size()),
                  .end = text.size(),
                  .name = NameBelow(node),
                  .length = depth});
  return hits;
}

bool Redactor::Redact(std::string& text, End end, std::string_view before) const {
  const std::vector<Hit> hits = Find(before, text, end);
  if (hits.empty())
    return false;
  std::string clean;
  clean.reserve(text.size());
  std::size_t from = 0;
  for (const Hit& hit : hits) {
    clean.append(text, from, hit.begin - from);
    clean += "[secret " + names_[hit.name] + "]";
    from = hit.end;
  }
  clean.append(text, from);
  WipeBytes(text);
  text = std::move(clean);
  return true;
}

bool Redactor::RedactMarked(std::string& text) const {
  if (!text.ends_with(kCutMark))
    return Redact(text);
  text.resize(text.size() - kCutMark.size());
  const bool found = Redact(text, End::kCut);
  text += kCutMark;
  return found;
}

namespace {

// A field's value as people see it, redacted; empty: nothing was found.
std::string RedactedValue(const Redactor& redactor, const EventValue& value) {
  std::string text;
  if (const auto* integer = std::get_if<std::int64_t>(&value))
    text = std::to_string(*integer);
  else if (const auto* words = std::get_if<std::string_view>(&value))
    text = *words;
  return redactor.RedactMarked(text) ? text : std::string();
}

// Whether there was something in the fields.
bool RedactFields(const Redactor& redactor, std::string& fields) {
  const Result<std::vector<EventField>> read = ReadEventFields(fields);
  if (!read.ok())
    return false;
  std::vector<EventField> clean = read.value();
  std::vector<std::string> texts;
  texts.reserve(2 * clean.size());  // views into them stay
  bool found = false;
  for (EventField& field : clean) {
    if (std::string text = RedactedValue(redactor, field.value); !text.empty()) {
      found = true;
      field.value = std::string_view(texts.emplace_back(std::move(text)));
    }
    std::string name(field.name);
    if (redactor.RedactMarked(name)) {
      found = true;
      field.name = texts.emplace_back(std::move(name));
    }
  }
  if (found)
    fields = EncodeEventFields(clean);
  // Names may be longer than what they stand for.
  if (fields.size() > kEventFieldsBytesMax)
    fields.clear();
  return found;
}

}  // namespace

void RedactEvent(LogEvent& event) {
  const std::shared_ptr<const Redactors> secrets = std::move(event.secrets);
  if (secrets == nullptr)
    return;
  const auto end_of = [](bool cut) { return cut ? Redactor::End::kCut : Redactor::End::kWhole; };
  for (const std::shared_ptr<const Redactor>& redactor : *secrets) {
    const bool in_bytes =
        redactor->Redact(event.bytes, end_of(event.cut || event.goes_on), event.before);
    const bool in_logger =
        redactor->Redact(event.logger, end_of(event.logger.size() >= kLoggerMax));
    const bool in_fields = !event.fields.empty() && RedactFields(*redactor, event.fields);
    event.redacted = event.redacted || in_bytes || in_logger || in_fields;
  }
  WipeBytes(event.before);
  event.before.clear();
}

}  // namespace cloister
