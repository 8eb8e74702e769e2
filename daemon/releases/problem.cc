#include "daemon/releases/problem.h"

#include <algorithm>

namespace cloister {
namespace {

constexpr ProblemInfo kProblems[] = {
#define PROBLEM(name, code, status, exit_class, sentence) \
  {code, status, ExitClass::exit_class, sentence},
#include "daemon/releases/problems.def"
#undef PROBLEM
};

constexpr std::string_view kGeneralAdvice =
    "The message, the traceback and the app's log (`cloister logs`) say what happened. Correct it "
    "and "
    "deploy again.";

constexpr ReportInfo kReports[] = {
#define REPORT(code, advice) {code, advice},
#include "daemon/releases/reports.def"
#undef REPORT
};

ProblemCode CodeFor(ErrorCode code) {
  switch (code) {
    case ErrorCode::kStorageFull:
      return ProblemCode::kDiskFull;
    case ErrorCode::kUnavailable:
      return ProblemCode::kUnavailable;
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kNotFound:
    case ErrorCode::kAlreadyExists:
    case ErrorCode::kPermissionDenied:
    case ErrorCode::kQuotaExceeded:
    case ErrorCode::kDeadlineExceeded:
    case ErrorCode::kProtocol:
    case ErrorCode::kSystem:
      return ProblemCode::kInternal;
  }
  return ProblemCode::kInternal;
}

}  // namespace

const ProblemInfo& InfoOf(ProblemCode code) {
  return kProblems[static_cast<std::size_t>(code)];
}

std::span<const ProblemInfo> AllProblems() {
  return kProblems;
}

std::span<const ReportInfo> AllReports() {
  return kReports;
}

Problem ProblemOf(Error error) {
  return Refused(CodeFor(error.code), std::move(error.message));
}

Problem Refused(ProblemCode code, std::string detail) {
  return Problem{.code = code, .detail = std::move(detail)};
}

Problem NoTenant(const std::string& name) {
  return Refused(ProblemCode::kTenantNotFound, "there is no tenant '" + name + "'");
}

Problem NoApp(const AppName& app) {
  return Refused(ProblemCode::kAppNotFound, "there is no app '" + app.ToString() + "'");
}

Problem NotOpen() {
  return Refused(ProblemCode::kUnavailable, "the node is starting or stopping");
}

Problem AtWork(const AppName& app) {
  return Refused(
      ProblemCode::kDeployInProgress,
      app.ToString() + " is being deployed, or its config is being changed; wait for it to end");
}

std::string_view AdviceFor(std::string_view report_code) {
  const auto* found = std::find_if(std::begin(kReports), std::end(kReports),
                                   [&](const ReportInfo& row) { return row.code == report_code; });
  return found == std::end(kReports) ? kGeneralAdvice : found->advice;
}

}  // namespace cloister
