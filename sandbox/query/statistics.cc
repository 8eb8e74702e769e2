// Standard deviation and variance, of a population and of a sample.

#include <cmath>

#include "sandbox/query/function.h"

namespace cloister {
namespace {

// Welford's way: one pass, and no sum of squares that loses digits.
struct Spread {
  double mean;
  double squares;
  std::int64_t count;
};

void Step(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
  if (sqlite3_value_type(values[0]) == SQLITE_NULL)
    return;
  auto* spread = static_cast<Spread*>(sqlite3_aggregate_context(context, sizeof(Spread)));
  if (spread == nullptr)
    return sqlite3_result_error_nomem(context);
  const double value = sqlite3_value_double(values[0]);
  const double delta = value - spread->mean;
  spread->mean += delta / static_cast<double>(++spread->count);
  spread->squares += delta * (value - spread->mean);
}

enum class Kind { kVariance, kDeviation };

template <Kind kind, int less>
void Finish(sqlite3_context* context) {
  const auto* spread = static_cast<const Spread*>(sqlite3_aggregate_context(context, 0));
  if (spread == nullptr || spread->count <= less)
    return sqlite3_result_null(context);
  const double variance = spread->squares / static_cast<double>(spread->count - less);
  sqlite3_result_double(context, kind == Kind::kVariance ? variance : std::sqrt(variance));
}

struct Aggregate {
  const char* name;
  void (*finish)(sqlite3_context*);
};

constexpr Aggregate kAggregates[] = {{"STDDEV_POP", Finish<Kind::kDeviation, 0>},
                                     {"STDDEV_SAMP", Finish<Kind::kDeviation, 1>},
                                     {"VAR_POP", Finish<Kind::kVariance, 0>},
                                     {"VAR_SAMP", Finish<Kind::kVariance, 1>}};

}  // namespace

int AddStatistics(sqlite3* db) {
  for (const Aggregate& each : kAggregates)
    if (const int rc = sqlite3_create_function_v2(
            db, each.name, 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, nullptr,
            nullptr, Step, each.finish, nullptr);
        rc != SQLITE_OK)
      return rc;
  return SQLITE_OK;
}

}  // namespace cloister
