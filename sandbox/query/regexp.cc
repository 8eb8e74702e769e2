// REGEXP, by PCRE2: near enough to Python's re for what Django and SQLAlchemy ask of it.

#define PCRE2_CODE_UNIT_WIDTH 8
#include <memory>
#include <string>

#include <pcre2.h>

#include "sandbox/query/function.h"

namespace cloister {
namespace {

// A pattern that needs more steps is stopped: SQLite cannot look at the time in between.
constexpr std::uint32_t kStepsMax = 2'000'000;
constexpr std::uint32_t kHeapMaxKib = 16 * 1024;
constexpr std::size_t kPatternMax = 5000;

template <auto free>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    free(object);
  }
};
using Code = std::unique_ptr<pcre2_code, Freer<pcre2_code_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Freer<pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Freer<pcre2_match_context_free>>;

struct Compiled {
  std::string pattern;
  Code code;
  std::string error;
};

// A statement uses one pattern for many rows.
const Compiled& Compile(std::string_view pattern) {
  static Compiled last;
  if (last.pattern == pattern && (last.code != nullptr || !last.error.empty()))
    return last;
  last = {.pattern = std::string(pattern), .code = nullptr, .error = {}};
  if (pattern.size() > kPatternMax) {
    last.error = "regexp: a pattern has at most 5000 bytes";
    return last;
  }
  int number = 0;
  PCRE2_SIZE offset = 0;
  last.code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &number, &offset,
                                nullptr));
  if (last.code == nullptr) {
    PCRE2_UCHAR text[128];
    pcre2_get_error_message(number, text, sizeof text);
    last.error = std::string("regexp: ") + reinterpret_cast<const char*>(text) + " at offset " +
                 std::to_string(offset);
  }
  return last;
}

pcre2_match_context* Limits() {
  static const MatchContext kContext = [] {
    MatchContext made(pcre2_match_context_create(nullptr));
    pcre2_set_match_limit(made.get(), kStepsMax);
    pcre2_set_heap_limit(made.get(), kHeapMaxKib);
    return made;
  }();
  return kContext.get();
}

// `text REGEXP pattern` is regexp(pattern, text).
void Regexp(sqlite3_context* context, int count, sqlite3_value** values) {
  if (AnyNull(count, values))
    return sqlite3_result_null(context);
  const Compiled& compiled = Compile(TextOf(values[0]));
  if (compiled.code == nullptr)
    return Fail(context, compiled.error);
  const std::string_view text = TextOf(values[1]);
  const MatchData data(pcre2_match_data_create_from_pattern(compiled.code.get(), nullptr));
  const int rc = pcre2_match(compiled.code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                             text.size(), 0, 0, data.get(), Limits());
  if (rc >= 0 || rc == PCRE2_ERROR_NOMATCH)
    return sqlite3_result_int(context, rc >= 0 ? 1 : 0);
  if (rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_HEAPLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT)
    return Fail(context, "regexp: the pattern takes too many steps on this text");
  return Fail(context, "regexp: the text is not UTF-8");
}

}  // namespace

int AddRegexp(sqlite3* db) {
  return AddFunction(db, {.name = "regexp", .arguments = 2, .run = Regexp});
}

}  // namespace cloister
