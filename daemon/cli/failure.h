#pragma once

// Why a command did not do what was asked: for the person, and with a stable code for scripts.
//
// Attempt<T> is to the command line what Result<T> is elsewhere: TRY works on it, and an Error of
// lower code becomes a Failure on the way up.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "apis/base/result.h"

namespace cloister {

enum class ExitCode { kDone = 0, kFailed = 1, kUsage = 2, kRefused = 3 };

struct [[nodiscard]] Failure {
  ExitCode exit = ExitCode::kFailed;
  std::string code;    // stable; docs/errors.md has a section for each
  std::string what;    // what happened, one line
  std::string detail;  // why, as many lines as it takes; may be empty
  std::string advice;  // what to do; may be empty
  // What was printed says it already (an answer in JSON): only the exit code is left.
  bool shown = false;
};

// The Failure of an Error that says all there is to say.
inline Failure FailureOf(Error error, std::string_view code, ExitCode exit = ExitCode::kFailed) {
  return Failure{exit, std::string(code), std::move(error.message), "", ""};
}

template <typename T>
class [[nodiscard]] Attempt {
 public:
  Attempt(T value) : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor)
  // NOLINTNEXTLINE(google-explicit-constructor)
  Attempt(Failure failure) : failure_(std::make_unique<Failure>(std::move(failure))) {}

  bool ok() const { return value_.has_value(); }
  // NOLINTBEGIN(bugprone-unchecked-optional-access): asking ok() first is the caller's part.
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return *std::move(value_); }
  // NOLINTEND(bugprone-unchecked-optional-access)
  const Failure& error() const& { return *failure_; }
  Failure&& error() && { return std::move(*failure_); }

 private:
  std::optional<T> value_;
  std::unique_ptr<Failure> failure_;
};

template <>
class [[nodiscard]] Attempt<void> {
 public:
  Attempt() = default;
  // NOLINTNEXTLINE(google-explicit-constructor)
  Attempt(Failure failure) : failure_(std::make_unique<Failure>(std::move(failure))) {}

  bool ok() const { return failure_ == nullptr; }
  void value() const {}
  const Failure& error() const& { return *failure_; }
  Failure&& error() && { return std::move(*failure_); }

 private:
  std::unique_ptr<Failure> failure_;
};

}  // namespace cloister
