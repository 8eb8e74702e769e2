#include "apis/base/unicode.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <tuple>
#include <utility>

namespace cloister {
namespace {

struct Decomposition {
  char32_t composed;
  char32_t first;
  char32_t second;  // 0: a single code point
};
struct Composition {
  char32_t first;
  char32_t second;
  char32_t composed;
};
struct CombiningClass {
  char32_t code;
  std::uint8_t value;
};

#include "apis/base/unicode_tables.inc"

// Below this every code point is in form C whatever stands next to it, and none combines.
constexpr char32_t kFirstCombining = 0x300;

// Hangul syllables are composed by arithmetic (Unicode Standard, 3.12).
constexpr char32_t kSyllableBase = 0xAC00;
constexpr char32_t kLeadBase = 0x1100;
constexpr char32_t kVowelBase = 0x1161;
constexpr char32_t kTailBase = 0x11A7;
constexpr char32_t kLeadCount = 19;
constexpr char32_t kVowelCount = 21;
constexpr char32_t kTailCount = 28;
constexpr char32_t kSyllableCount = kLeadCount * kVowelCount * kTailCount;

bool IsWithin(char32_t point, char32_t base, char32_t count) {
  return point >= base && point < base + count;
}

std::uint8_t ClassOf(char32_t point) {
  if (point < kFirstCombining)
    return 0;
  const auto* found =
      std::lower_bound(std::begin(kClasses), std::end(kClasses), point,
                       [](const CombiningClass& row, char32_t code) { return row.code < code; });
  return found != std::end(kClasses) && found->code == point ? found->value : std::uint8_t{0};
}

void AppendDecomposed(char32_t point, std::u32string& out) {
  if (IsWithin(point, kSyllableBase, kSyllableCount)) {
    const char32_t index = point - kSyllableBase;
    out.push_back(kLeadBase + index / (kVowelCount * kTailCount));
    out.push_back(kVowelBase + index % (kVowelCount * kTailCount) / kTailCount);
    if (index % kTailCount != 0)
      out.push_back(kTailBase + index % kTailCount);
    return;
  }
  const auto* found =
      std::lower_bound(std::begin(kDecompositions), std::end(kDecompositions), point,
                       [](const Decomposition& row, char32_t code) { return row.composed < code; });
  if (found == std::end(kDecompositions) || found->composed != point) {
    out += point;
    return;
  }
  AppendDecomposed(found->first, out);  // at most four deep in Unicode's data
  if (found->second != 0)
    AppendDecomposed(found->second, out);
}

// 0 when the two do not compose.
char32_t Composed(char32_t first, char32_t second) {
  if (IsWithin(first, kLeadBase, kLeadCount) && IsWithin(second, kVowelBase, kVowelCount))
    return kSyllableBase + ((first - kLeadBase) * kVowelCount + (second - kVowelBase)) * kTailCount;
  if (IsWithin(first, kSyllableBase, kSyllableCount) && (first - kSyllableBase) % kTailCount == 0 &&
      IsWithin(second, kTailBase + 1, kTailCount - 1))
    return first + (second - kTailBase);
  const auto* found =
      std::lower_bound(std::begin(kCompositions), std::end(kCompositions), std::pair(first, second),
                       [](const Composition& row, const std::pair<char32_t, char32_t>& pair) {
                         return std::pair(row.first, row.second) < pair;
                       });
  if (found == std::end(kCompositions) || found->first != first || found->second != second)
    return 0;
  return found->composed;
}

// Puts the marks behind each starter into the order of their classes.
void Reorder(std::u32string& points) {
  auto begin = points.begin();
  while (begin != points.end()) {
    if (ClassOf(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto end = std::find_if(begin, points.end(), [](char32_t p) { return ClassOf(p) == 0; });
    std::stable_sort(begin, end, [](char32_t a, char32_t b) { return ClassOf(a) < ClassOf(b); });
    begin = end;
  }
}

std::u32string Compose(std::u32string_view points) {
  constexpr std::size_t kNone = ~std::size_t{0};
  std::u32string out;
  std::size_t starter = kNone;  // index in `out`
  int last_class = -1;          // of what stands between the starter and here; -1: nothing does
  for (const char32_t point : points) {
    const int own_class = ClassOf(point);
    const bool blocked = starter == kNone || last_class >= own_class;
    const char32_t composed = blocked ? 0 : Composed(out[starter], point);
    if (composed != 0) {
      out[starter] = composed;
      continue;
    }
    if (own_class == 0) {
      starter = out.size();
      last_class = -1;
    } else {
      last_class = own_class;
    }
    out += point;
  }
  return out;
}

// The length of the sequence that `lead` begins, 0 when it begins none; sets the least code point
// that needs this length.
std::size_t SequenceLength(unsigned char lead, char32_t& least) {
  if (lead < 0x80)
    return least = 0, 1;
  if (lead >= 0xC2 && lead < 0xE0)
    return least = 0x80, 2;
  if (lead >= 0xE0 && lead < 0xF0)
    return least = 0x800, 3;
  if (lead >= 0xF0 && lead < 0xF5)
    return least = 0x10000, 4;
  return 0;
}

// Takes one code point off the front; empty (and nothing taken) when there is none.
std::optional<char32_t> TakePoint(std::string_view& text) {
  char32_t least = 0;
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t length = SequenceLength(lead, least);
  if (length == 0 || length > text.size())
    return std::nullopt;
  char32_t point = length == 1 ? lead : lead & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xC0u) != 0x80u)
      return std::nullopt;
    point = point << 6 | (byte & 0x3Fu);
  }
  if (point < least || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
    return std::nullopt;
  text.remove_prefix(length);
  return point;
}

}  // namespace

std::optional<std::u32string> DecodeUtf8(std::string_view text) {
  std::u32string points;
  points.reserve(text.size());
  while (!text.empty()) {
    const std::optional<char32_t> point = TakePoint(text);
    if (!point)
      return std::nullopt;
    points += *point;
  }
  return points;
}

std::string EncodeUtf8(std::u32string_view points) {
  constexpr char32_t kLeads[] = {0, 0xC0, 0xE0, 0xF0};
  std::string out;
  const auto add = [&out](char32_t byte) { out += static_cast<char>(byte); };
  for (const char32_t point : points) {
    if (point < 0x80) {
      add(point);
      continue;
    }
    const int tail_bytes = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    add(kLeads[tail_bytes] | point >> (6 * tail_bytes));
    for (int i = tail_bytes - 1; i >= 0; --i)
      add(0x80u | (point >> (6 * i) & 0x3Fu));
  }
  return out;
}

std::u32string NormalizeNfc(std::u32string_view points) {
  std::u32string decomposed;
  decomposed.reserve(points.size());
  for (const char32_t point : points)
    AppendDecomposed(point, decomposed);
  Reorder(decomposed);
  return Compose(decomposed);
}

bool IsNfc(std::string_view text) {
  const std::optional<std::u32string> points = DecodeUtf8(text);
  if (!points)
    return false;
  if (std::all_of(points->begin(), points->end(),
                  [](char32_t point) { return point < kFirstCombining; }))
    return true;
  return NormalizeNfc(*points) == *points;
}

std::string Utf8OrReplaced(std::string_view text) {
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::string_view before = text;
    if (TakePoint(text)) {
      out += before.substr(0, before.size() - text.size());
    } else {
      out += kReplacement;
      text.remove_prefix(1);
    }
  }
  return out;
}

}  // namespace cloister
