#include "apis/wire/frame.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "apis/wire/codec.h"

namespace cloister {
namespace {

using std::string_literals::operator""s;

TEST(FrameTest, GoldenBytes) {
  std::string bytes;
  AppendFrame(bytes, {.type = FrameType::kResponse,
                      .flags = kFrameEnd | kFrameInlineBody,
                      .id = 0x01020305,
                      .payload = "hi"});
  EXPECT_EQ("\x02\x00\x00\x00\x12\x03\x00\x00\x05\x03\x02\x01hi"s, bytes);
}

TEST(FrameTest, NumbersOfTypesNeverChange) {
  const std::vector<std::pair<FrameType, int>> numbers = {
      {FrameType::kRequest, 1},        {FrameType::kRequestBody, 2}, {FrameType::kCredit, 3},
      {FrameType::kShutdown, 4},       {FrameType::kCallReply, 5},   {FrameType::kConfig, 6},
      {FrameType::kReady, 16},         {FrameType::kBootFailed, 17}, {FrameType::kResponse, 18},
      {FrameType::kResponseBody, 19},  {FrameType::kBodyCredit, 20}, {FrameType::kLog, 21},
      {FrameType::kResponseAbort, 22}, {FrameType::kCode, 23},       {FrameType::kRefused, 24},
      {FrameType::kCall, 25},          {FrameType::kQueryUse, 26},   {FrameType::kQueryBroken, 27}};
  for (const auto& [type, number] : numbers)
    EXPECT_EQ(number, static_cast<int>(type));
}

TEST(FrameTest, FramesComeOffOneByOne) {
  std::string bytes;
  AppendFrame(bytes, {.type = FrameType::kReady, .flags = 0, .id = 0, .payload = ""});
  const std::size_t begin = BeginFrame(bytes, FrameType::kLog, kFrameMore, 7);
  bytes += "made in place";
  FinishFrame(bytes, begin);
  std::string_view rest = bytes;
  const auto first = ParseFrame(rest);
  ASSERT_TRUE(first.ok() && first.value().has_value());
  EXPECT_EQ(FrameType::kReady, first.value()->type);
  EXPECT_EQ("", first.value()->payload);
  const auto second = ParseFrame(rest);
  ASSERT_TRUE(second.ok() && second.value().has_value());
  EXPECT_EQ(7u, second.value()->id);
  EXPECT_TRUE(second.value()->Has(kFrameMore));
  EXPECT_FALSE(second.value()->Has(kFrameEnd));
  EXPECT_EQ("made in place", second.value()->payload);
  EXPECT_TRUE(rest.empty());
}

TEST(FrameTest, EveryTruncationWantsMoreBytes) {
  std::string bytes;
  AppendFrame(bytes, {.type = FrameType::kRequest, .flags = 0, .id = 1, .payload = "payload"});
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::string cut = bytes.substr(0, size);
    std::string_view rest = cut;
    const auto parsed = ParseFrame(rest);
    ASSERT_TRUE(parsed.ok()) << size;
    EXPECT_FALSE(parsed.value().has_value()) << size;
    EXPECT_EQ(size, rest.size());
  }
}

std::string Header(std::uint32_t length, std::uint8_t type, std::uint16_t filler) {
  std::string bytes;
  WireWriter writer(bytes);
  writer.U32(length);
  writer.U8(type);
  writer.U8(0);
  writer.U16(filler);
  writer.U32(1);
  return bytes;
}

bool IsRefused(const std::string& bytes) {
  std::string_view rest = bytes;
  const auto parsed = ParseFrame(rest);
  EXPECT_TRUE(parsed.ok() || parsed.error().code == ErrorCode::kProtocol);
  return !parsed.ok();
}

TEST(FrameTest, HostileHeadersAreRefusedBeforeTheirPayloadIsThere) {
  EXPECT_FALSE(IsRefused(Header(kFramePayloadMax - 1, 18, 0)));
  EXPECT_FALSE(IsRefused(Header(kFramePayloadMax, 18, 0)));
  EXPECT_TRUE(IsRefused(Header(kFramePayloadMax + 1, 18, 0)));
  EXPECT_TRUE(IsRefused(Header(0xffffffff, 18, 0)));
  EXPECT_TRUE(IsRefused(Header(0, 18, 1)));
  EXPECT_TRUE(IsRefused(Header(0, 18, 0x8000)));
}

TEST(FrameTest, OnlyKnownTypesAreTaken) {
  for (int type = 0; type < 256; ++type) {
    const bool known = (type >= 1 && type <= 6) || (type >= 16 && type <= 27);
    EXPECT_EQ(!known, IsRefused(Header(0, static_cast<std::uint8_t>(type), 0))) << type;
  }
}

TEST(FrameDeathTest, APayloadThatIsTooLargeIsOurBug) {
  std::string bytes;
  const std::string payload(kFramePayloadMax, 'x');
  AppendFrame(bytes, {.type = FrameType::kLog, .flags = 0, .id = 0, .payload = payload});
  EXPECT_EQ(kFrameHeaderSize + kFramePayloadMax, bytes.size());
  EXPECT_DEATH(AppendFrame(bytes, {.type = FrameType::kLog,
                                   .flags = 0,
                                   .id = 0,
                                   .payload = std::string(kFramePayloadMax + 1, 'x')}),
               "CHECK failed");
}

}  // namespace
}  // namespace cloister
