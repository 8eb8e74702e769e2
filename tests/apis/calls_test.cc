#include "apis/calls.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace cloister {
namespace {

template <typename Fields>
std::string BytesOfFields(const Fields& fields) {
  std::string bytes;
  EncodeFields(fields, bytes);
  return bytes;
}

// Encodes and decodes; refuses every truncation and anything behind it.
template <typename Fields>
void ExpectRoundTrip(const Fields& fields) {
  const std::string bytes = BytesOfFields(fields);
  const Result<Fields> decoded = DecodeFields<Fields>(bytes);
  ASSERT_TRUE(decoded.ok());
  EXPECT_TRUE(decoded.value() == fields);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(DecodeFields<Fields>(std::string_view(bytes).substr(0, size)).ok()) << size;
  EXPECT_FALSE(DecodeFields<Fields>(bytes + '\0').ok());
}

TEST(CallsTest, FieldsOfEveryTypeComeBack) {
  ExpectRoundTrip(CacheGet{.key = "k"});
  ExpectRoundTrip(CacheGetResult{.value = std::nullopt});
  ExpectRoundTrip(CacheGetResult{.value = std::string_view("a\0b", 3)});
  ExpectRoundTrip(CacheGetMulti{.keys = {"a", "", "ccc"}});
  ExpectRoundTrip(CacheGetMultiResult{.values = {"x", std::nullopt, ""}});
  ExpectRoundTrip(CacheSet{.mode = 2, .key = "k", .value = "v", .ttl_ms = ~std::uint64_t{0}});
  ExpectRoundTrip(CacheSetMultiResult{.stored = {1, 0, 1}});
  ExpectRoundTrip(CacheIncr{.key = "k", .delta = -5, .initial = INT64_MIN, .ttl_ms = 0});
  ExpectRoundTrip(CacheIncr{.key = "k", .delta = 1, .initial = std::nullopt, .ttl_ms = 1});
  ExpectRoundTrip(CacheClear{});
}

TEST(CallsTest, ListsHaveALimit) {
  const CacheGetMulti most{.keys = call::LIST_BYTES(kCallListMax, "k")};
  EXPECT_TRUE(DecodeFields<CacheGetMulti>(BytesOfFields(most)).ok());
  const CacheGetMulti more{.keys = call::LIST_BYTES(kCallListMax + 1, "k")};
  EXPECT_FALSE(DecodeFields<CacheGetMulti>(BytesOfFields(more)).ok());
  // A count without elements behind it costs nothing.
  EXPECT_FALSE(DecodeFields<CacheGetMulti>(std::string("\xe8\x03\0\0", 4)).ok());
  EXPECT_FALSE(DecodeFields<CacheGetMulti>("\xff\xff\xff\xff").ok());
}

TEST(CallsTest, AnOptionalValueIsThereOrNot) {
  EXPECT_FALSE(DecodeFields<CacheGetResult>("\x02").ok());
  EXPECT_TRUE(DecodeFields<CacheGetResult>(std::string(1, '\0')).ok());
}

TEST(CallsTest, EveryCallHasANumberAndANameOfItsOwn) {
  std::set<CallNumber> numbers;
  std::set<std::string_view> methods;
  for (const CallInfo& info : Calls()) {
    EXPECT_TRUE(numbers.insert(info.number).second) << info.method;
    EXPECT_TRUE(methods.insert(info.method).second) << info.method;
    EXPECT_EQ(FindCall(static_cast<std::uint16_t>(info.number)), &info);
  }
  EXPECT_EQ(FindCall(0), nullptr);
  EXPECT_EQ(FindCall(0xFFFF), nullptr);
}

TEST(CallsTest, TheTableHasTheFieldsInOrder) {
  const CallInfo* info = FindCall(static_cast<std::uint16_t>(CacheSet::kNumber));
  ASSERT_NE(info, nullptr);
  EXPECT_EQ(info->method, "cache.set");
  using call::Type;
  EXPECT_EQ(std::vector(info->args.begin(), info->args.end()),
            (std::vector{Type::kU8, Type::kBytes, Type::kBytes, Type::kU64}));
  EXPECT_EQ(std::vector(info->results.begin(), info->results.end()), std::vector{Type::kU8});
  EXPECT_TRUE(FindCall(static_cast<std::uint16_t>(CacheClear::kNumber))->args.empty());
}

}  // namespace
}  // namespace cloister
