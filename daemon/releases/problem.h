#pragma once

// What the admin API answers when it does not do what was asked: a stable code and a detail.
//
// Outcome<T> is to Problem what Result<T> is to Error, and TRY works with both: an Error becomes
// the Problem that it means to a client (a full disk, a node that is stopping, else internal).

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apis/base/names.h"
#include "apis/base/result.h"

namespace cloister {

enum class ProblemCode : std::uint8_t {
#define PROBLEM(name, code, status, exit_class, sentence) k##name,
#include "daemon/releases/problems.def"
#undef PROBLEM
};

// The exit code of `cloister` for a problem.
enum class ExitClass : std::uint8_t { kFailed = 1, kUsage = 2, kRefused = 3 };

struct ProblemInfo {
  std::string_view code;
  int status = 500;
  ExitClass exit_class = ExitClass::kFailed;
  std::string_view sentence;
};

const ProblemInfo& InfoOf(ProblemCode code);
// All of them, in the order of the table.
std::span<const ProblemInfo> AllProblems();

struct [[nodiscard]] Problem {
  ProblemCode code = ProblemCode::kInternal;
  std::string detail = {};
  // Further facts for programs, for example "missing": hashes.
  std::string list_name = {};
  std::vector<std::string> list = {};
};

Problem ProblemOf(Error error);
Problem Refused(ProblemCode code, std::string detail);
// What is said in more than one place.
Problem NoTenant(const std::string& name);
Problem NoApp(const AppName& app);
Problem NotOpen();
Problem AtWork(const AppName& app);

// The advice that belongs to a report's code; a general one for a code that the table lacks.
std::string_view AdviceFor(std::string_view report_code);

struct ReportInfo {
  std::string_view code;
  std::string_view advice;
};
std::span<const ReportInfo> AllReports();

template <typename T>
class [[nodiscard]] Outcome {
 public:
  Outcome(T value) : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor)
  // NOLINTNEXTLINE(google-explicit-constructor)
  Outcome(Problem problem) : problem_(std::make_unique<Problem>(std::move(problem))) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  Outcome(Error error) : Outcome(ProblemOf(std::move(error))) {}

  bool ok() const { return value_.has_value(); }
  // NOLINTBEGIN(bugprone-unchecked-optional-access): who asks has looked at ok().
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return *std::move(value_); }
  // NOLINTEND(bugprone-unchecked-optional-access)
  const Problem& error() const& { return *problem_; }
  Problem&& error() && { return std::move(*problem_); }

 private:
  std::optional<T> value_;
  std::unique_ptr<Problem> problem_;
};

// For what has no value.
struct Done {};

}  // namespace cloister
