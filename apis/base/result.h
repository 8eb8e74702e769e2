#pragma once

// The outcome of an operation that can fail in an expected way.
//
// Result<T> holds either a T or an Error. An Error is a code callers branch on
// plus a message for a person. Bugs are not Errors: they stop the process (see
// check.h). Nothing here throws.

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace cloister {

enum class ErrorCode {
  kInvalidArgument,
  kNotFound,
  kAlreadyExists,
  kPermissionDenied,
  kQuotaExceeded,
  kUnavailable,
  kDeadlineExceeded,
  kProtocol,
  kStorageFull,
  kSystem,
};

struct [[nodiscard]] Error {
  ErrorCode code = ErrorCode::kSystem;
  std::string message;

  // Returns this error with "context: " in front of its message.
  Error In(std::string context) && {
    context += ": ";
    context += message;
    return Error{code, std::move(context)};
  }
};

// The Error of a failed system call: "doing: text of errno". The one place errno becomes an Error.
inline Error SystemError(std::string doing, int error_number = errno) {
  ErrorCode code = ErrorCode::kSystem;
  if (error_number == ENOENT)
    code = ErrorCode::kNotFound;
  else if (error_number == EEXIST)
    code = ErrorCode::kAlreadyExists;
  else if (error_number == EACCES || error_number == EPERM)
    code = ErrorCode::kPermissionDenied;
  else if (error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG)
    code = ErrorCode::kStorageFull;
  doing += ": ";
  doing += ::strerror(error_number);
  return Error{code, std::move(doing)};
}

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor)
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(Error error) : error_(std::make_unique<Error>(std::move(error))) {}

  bool ok() const { return value_.has_value(); }
  // NOLINTBEGIN(bugprone-unchecked-optional-access): asking ok() first is the caller's part.
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return *std::move(value_); }
  // NOLINTEND(bugprone-unchecked-optional-access)
  const Error& error() const& { return *error_; }
  Error&& error() && { return std::move(*error_); }

 private:
  std::optional<T> value_;
  std::unique_ptr<Error> error_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(Error error) : error_(std::make_unique<Error>(std::move(error))) {}

  bool ok() const { return error_ == nullptr; }
  explicit operator bool() const { return ok(); }
  void value() const {}
  const Error& error() const& { return *error_; }
  Error&& error() && { return std::move(*error_); }

 private:
  std::unique_ptr<Error> error_;
};

}  // namespace cloister

// Evaluates to the value of a Result, or returns its Error from the enclosing
// function. GCC and Clang only (a statement expression).
#define TRY(expression)                      \
  __extension__({                            \
    auto&& try_result_ = (expression);       \
    if (!try_result_.ok())                   \
      return std::move(try_result_).error(); \
    std::move(try_result_).value();          \
  })
