#include "apis/wire/codec.h"

#include <gtest/gtest.h>

#include <string>

namespace cloister {
namespace {

using std::string_literals::operator""s;

TEST(CodecTest, IsLittleEndian) {
  std::string bytes;
  WireWriter writer(bytes);
  writer.U8(1);
  writer.U16(0x0203);
  writer.U32(0x04050607);
  writer.U64(0x08090a0b0c0d0e0f);
  writer.Str16("ab");
  writer.Str32("");
  writer.Raw("z");
  EXPECT_EQ(
      "\x01\x03\x02\x07\x06\x05\x04\x0f\x0e\x0d\x0c\x0b\x0a\x09\x08\x02\x00"
      "ab\x00\x00\x00\x00z"s,
      bytes);
}

TEST(CodecTest, ReadsWhatWasWritten) {
  std::string bytes;
  WireWriter writer(bytes);
  writer.U8(0xff);
  writer.U16(0xffff);
  writer.U32(0xffffffff);
  writer.U64(~std::uint64_t{0});
  writer.Str16("with\0nul"s);
  writer.Str32(std::string(100000, 'x'));
  WireReader reader(bytes);
  EXPECT_EQ(0xff, reader.U8());
  EXPECT_EQ(0xffff, reader.U16());
  EXPECT_EQ(0xffffffff, reader.U32());
  EXPECT_EQ(~std::uint64_t{0}, reader.U64());
  EXPECT_EQ("with\0nul"s, reader.Str16());
  EXPECT_FALSE(reader.AtEnd());
  EXPECT_EQ(100000u, reader.Str32().size());
  EXPECT_TRUE(reader.AtEnd());
}

TEST(CodecTest, NeverReadsPastTheEnd) {
  std::string bytes;
  WireWriter writer(bytes);
  writer.U32(7);
  writer.Str16("hello");
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    // A copy of exactly that size: a sanitizer sees one byte too many.
    const std::string cut = bytes.substr(0, size);
    WireReader reader(cut);
    (void)reader.U32();
    EXPECT_EQ("", reader.Str16());
    EXPECT_FALSE(reader.ok());
    EXPECT_FALSE(reader.AtEnd());
    // After the first failure there is nothing more.
    EXPECT_EQ(0u, reader.U8());
    EXPECT_EQ("", reader.Rest());
  }
}

TEST(CodecTest, ALengthThatLiesIsRefused) {
  for (const std::string& bytes : {"\xff\xff\xff\xff"
                                   "abc"s,
                                   "\x04\x00\x00\x00"
                                   "abc"s}) {
    WireReader reader(bytes);
    EXPECT_EQ("", reader.Str32());
    EXPECT_FALSE(reader.ok());
  }
}

TEST(CodecTest, TheRestIsWhatIsLeft) {
  WireReader reader(
      "\x01"
      "body");
  (void)reader.U8();
  EXPECT_EQ("body", reader.Rest());
  EXPECT_TRUE(reader.AtEnd());
  EXPECT_EQ("", reader.Rest());
  EXPECT_TRUE(reader.ok());
}

}  // namespace
}  // namespace cloister
