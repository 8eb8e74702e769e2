#include "apis/wire/config_values.h"

#include <gtest/gtest.h>

#include "apis/wire/frame.h"

namespace cloister {
namespace {

// What a reader puts together of the frames.
std::string PayloadOf(std::string_view frames, std::size_t& count) {
  std::string payload;
  for (bool more = true; more; ++count) {
    const std::optional<Frame> frame = ParseFrame(frames).value();
    EXPECT_TRUE(frame.has_value());
    if (!frame)
      return payload;
    EXPECT_EQ(frame->type, FrameType::kConfig);
    payload += frame->payload;
    more = frame->Has(kFrameMore);
  }
  EXPECT_TRUE(frames.empty());
  return payload;
}

TEST(ConfigValuesTest, WhatIsEncodedIsRead) {
  std::string payload;
  EncodeConfig(payload, {{.name = "A", .value = "", .secret = false},
                         {.name = "B", .value = std::string_view("a\0b", 3), .secret = true}});
  const auto values = ReadConfig(payload).value();
  ASSERT_EQ(values.size(), 2U);
  EXPECT_EQ(values[0].name, "A");
  EXPECT_EQ(values[0].value, "");
  EXPECT_FALSE(values[0].secret);
  EXPECT_EQ(values[1].value, std::string_view("a\0b", 3));
  EXPECT_TRUE(values[1].secret);
}

TEST(ConfigValuesTest, NothingIsOneFrame) {
  std::string frames;
  AppendConfigFrames(frames, "");
  std::size_t count = 0;
  EXPECT_EQ(PayloadOf(frames, count), "");
  EXPECT_EQ(count, 1U);
}

TEST(ConfigValuesTest, ALargeOneGoesOnInTheNextFrames) {
  for (const std::size_t size : {kFramePayloadMax, kFramePayloadMax + 1, 3 * kFramePayloadMax}) {
    const std::string payload(size, 'x');
    std::string frames;
    AppendConfigFrames(frames, payload);
    std::size_t count = 0;
    EXPECT_EQ(PayloadOf(frames, count), payload);
    EXPECT_EQ(count, (size + kFramePayloadMax - 1) / kFramePayloadMax);
  }
}

TEST(ConfigValuesTest, WhatIsCutOffIsRefused) {
  std::string payload;
  EncodeConfig(payload, {{.name = "NAME", .value = "value", .secret = false}});
  for (std::size_t size = 1; size < payload.size(); ++size)
    EXPECT_FALSE(ReadConfig(std::string_view(payload).substr(0, size)).ok()) << size;
}

}  // namespace
}  // namespace cloister
