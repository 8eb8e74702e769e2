#include "daemon/http/conditions.h"

#include <gtest/gtest.h>

#include <vector>

namespace cloister {
namespace {

// The file: tag "abc", of Sun, 06 Nov 1994 08:49:37 GMT, 1000 bytes.
constexpr Validators kFile = {.etag = "\"abc\"", .modified = 784111777};
constexpr const char* kDate = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr const char* kEarlier = "Sun, 06 Nov 1994 08:49:36 GMT";
constexpr const char* kLater = "Sun, 06 Nov 1994 08:49:38 GMT";

HttpRequest Request(std::vector<HttpHeader> headers, std::string_view method = "GET") {
  HttpRequest request;
  request.method = method;
  request.headers = std::move(headers);
  return request;
}
Condition Check(std::vector<HttpHeader> headers) {
  return CheckConditions(Request(std::move(headers)), kFile);
}

TEST(ConditionsTest, WithoutAnyTheFileIsServed) {
  EXPECT_EQ(Check({}), Condition::kServe);
}

TEST(ConditionsTest, IfNoneMatch) {
  for (const char* value : {"\"abc\"", "W/\"abc\"", "\"x\", \"abc\"", "\"x\" , W/\"y\",\"abc\"",
                            "*", " * ", ",,\"abc\""})
    EXPECT_EQ(Check({{"if-none-match", value}}), Condition::kNotModified) << value;
  for (const char* value : {"\"ab\"", "abc", "", "\"abc", "\"x\", abc, \"abc\"", "\"x\\\"abc\"",
                            "*, \"x\"", "w/\"abc\"", "W/ \"abc\""})
    EXPECT_EQ(Check({{"if-none-match", value}}), Condition::kServe) << value;
  EXPECT_EQ(Check({{"if-none-match", "\"x\""}, {"if-none-match", "\"abc\""}}),
            Condition::kNotModified);
}

TEST(ConditionsTest, IfModifiedSinceProvesNothing) {
  for (const char* value : {kDate, kEarlier, kLater, "", "yesterday"})
    EXPECT_EQ(Check({{"if-modified-since", value}}), Condition::kServe) << value;
}

TEST(ConditionsTest, ATagComesBeforeADate) {
  EXPECT_EQ(Check({{"if-none-match", "\"x\""}, {"if-modified-since", kDate}}), Condition::kServe);
  EXPECT_EQ(Check({{"if-match", "\"abc\""}, {"if-unmodified-since", kEarlier}}), Condition::kServe);
}

TEST(ConditionsTest, IfMatchAndIfUnmodifiedSince) {
  EXPECT_EQ(Check({{"if-match", "\"x\", \"abc\""}}), Condition::kServe);
  EXPECT_EQ(Check({{"if-match", "*"}}), Condition::kServe);
  EXPECT_EQ(Check({{"if-match", "W/\"abc\""}}), Condition::kFailed) << "weak";
  EXPECT_EQ(Check({{"if-match", "\"x\""}}), Condition::kFailed);
  EXPECT_EQ(Check({{"if-unmodified-since", kDate}}), Condition::kServe);
  EXPECT_EQ(Check({{"if-unmodified-since", kLater}}), Condition::kServe);
  EXPECT_EQ(Check({{"if-unmodified-since", kEarlier}}), Condition::kFailed);
  EXPECT_EQ(Check({{"if-unmodified-since", "never"}}), Condition::kServe);
  EXPECT_EQ(Check({{"if-match", "\"abc\""}, {"if-none-match", "\"abc\""}}),
            Condition::kNotModified);
}

// "whole", "none" or "FIRST+SIZE".
std::string Part(std::vector<HttpHeader> headers, std::uint64_t size = 1000,
                 std::string_view method = "GET") {
  const FilePart part = ChoosePart(Request(std::move(headers), method), kFile, size);
  if (part.kind == FilePart::Kind::kWhole)
    return "whole";
  if (part.kind == FilePart::Kind::kUnsatisfiable)
    return "none";
  return std::to_string(part.first) + "+" + std::to_string(part.size);
}

TEST(PartTest, OneRangeOfBytes) {
  const std::pair<const char*, const char*> kRanges[] = {
      {"bytes=0-0", "0+1"},
      {"bytes=0-999", "0+1000"},
      {"bytes=0-1000", "0+1000"},
      {"bytes=100-199", "100+100"},
      {"bytes=999-", "999+1"},
      {"bytes=0-", "0+1000"},
      {"bytes=-1", "999+1"},
      {"bytes=-1000", "0+1000"},
      {"bytes=-5000", "0+1000"},
      {"Bytes= 5-6 ", "5+2"},
      {"bytes=5-99999999999999999999999", "5+995"},
      {"bytes=1000-", "none"},
      {"bytes=1000-2000", "none"},
      {"bytes=99999999999999999999999-", "none"},
      {"bytes=-0", "none"},
  };
  for (const auto& [range, part] : kRanges)
    EXPECT_EQ(Part({{"range", range}}), part) << range;
}

TEST(PartTest, OfAllElseTheWholeFile) {
  for (const char* range :
       {"", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5", "bytes=6-5", "bytes=0-1,3-4",
        "bytes=1-2-3", "bytes=+1-2", "bytes=1 -2", "items=0-1", "bytes:0-1", "bytes=--1"})
    EXPECT_EQ(Part({{"range", range}}), "whole") << range;
  EXPECT_EQ(Part({{"range", "bytes=0-1"}, {"range", "bytes=3-4"}}), "whole");
  EXPECT_EQ(Part({{"range", "bytes=0-1"}}, 1000, "HEAD"), "whole");
  EXPECT_EQ(Part({}), "whole");
}

TEST(PartTest, OfAnEmptyFile) {
  EXPECT_EQ(Part({{"range", "bytes=0-"}}, 0), "none");
  EXPECT_EQ(Part({{"range", "bytes=-5"}}, 0), "whole");
}

TEST(PartTest, IfRangeMustNameThisFile) {
  const auto with = [](const char* value) {
    return Part({{"range", "bytes=0-1"}, {"if-range", value}});
  };
  EXPECT_EQ(with("\"abc\""), "0+2");
  for (const char* value : {"W/\"abc\"", "\"x\"", "abc", kDate, kEarlier, kLater, "*"})
    EXPECT_EQ(with(value), "whole") << value;
}

}  // namespace
}  // namespace cloister
