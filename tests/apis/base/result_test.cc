#include "apis/base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace cloister {
namespace {

Result<int> Half(int number) {
  if (number % 2 != 0)
    return Error{ErrorCode::kInvalidArgument, std::to_string(number) + " is odd"};
  return number / 2;
}

Result<int> Quarter(int number) {
  const int half = TRY(Half(number));
  return TRY(Half(half));
}

Result<void> CheckQuarter(int number) {
  (void)TRY(Quarter(number));
  return {};
}

Result<std::unique_ptr<int>> Boxed(int number) {
  return std::make_unique<int>(TRY(Half(number)));
}

TEST(ResultTest, ValuesComeThrough) {
  const auto quarter = Quarter(12);
  ASSERT_TRUE(quarter.ok());
  EXPECT_EQ(3, quarter.value());
  EXPECT_TRUE(CheckQuarter(12).ok());
  auto boxed = Boxed(8);
  const std::unique_ptr<int> taken = std::move(boxed).value();
  EXPECT_EQ(4, *taken);
}

TEST(ResultTest, ErrorsComeThrough) {
  const auto quarter = Quarter(6);
  ASSERT_FALSE(quarter.ok());
  EXPECT_EQ(ErrorCode::kInvalidArgument, quarter.error().code);
  EXPECT_EQ("3 is odd", quarter.error().message);
  const auto checked = CheckQuarter(5);
  EXPECT_FALSE(checked.ok());
  EXPECT_FALSE(static_cast<bool>(checked));
  EXPECT_EQ("5 is odd", checked.error().message);
}

TEST(ResultTest, ErrorsGetTheirContext) {
  auto quarter = Quarter(6);
  const Error error = std::move(quarter).error().In("quartering 6");
  EXPECT_EQ("quartering 6: 3 is odd", error.message);
  EXPECT_EQ(ErrorCode::kInvalidArgument, error.code);
}

TEST(SystemErrorTest, ErrnoBecomesACode) {
  EXPECT_EQ(ErrorCode::kNotFound, SystemError("x", ENOENT).code);
  EXPECT_EQ(ErrorCode::kAlreadyExists, SystemError("x", EEXIST).code);
  EXPECT_EQ(ErrorCode::kPermissionDenied, SystemError("x", EACCES).code);
  EXPECT_EQ(ErrorCode::kPermissionDenied, SystemError("x", EPERM).code);
  EXPECT_EQ(ErrorCode::kStorageFull, SystemError("x", ENOSPC).code);
  EXPECT_EQ(ErrorCode::kStorageFull, SystemError("x", EDQUOT).code);
  EXPECT_EQ(ErrorCode::kSystem, SystemError("x", EIO).code);
  EXPECT_EQ("opening it: No such file or directory", SystemError("opening it", ENOENT).message);
}

}  // namespace
}  // namespace cloister
