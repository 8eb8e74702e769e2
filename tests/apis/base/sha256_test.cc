#include "apis/base/sha256.h"

#include <gtest/gtest.h>

namespace cloister {
namespace {

TEST(Sha256Test, KnownAnswers) {
  EXPECT_EQ(Sha256Of("").Hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Of("abc").Hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256Test, PiecesHashAsTheWhole) {
  Sha256Stream stream;
  stream.Add("a");
  stream.Add("");
  stream.Add("bc");
  EXPECT_EQ(stream.Finish(), Sha256Of("abc"));
}

TEST(Sha256Test, HexReadsBackAndNothingElseDoes) {
  const Sha256 sha256 = Sha256Of("abc");
  EXPECT_EQ(Sha256::FromHex(sha256.Hex()), sha256);
  EXPECT_EQ(Sha256::FromHex(sha256.Hex() + "0"), std::nullopt);
  EXPECT_EQ(Sha256::FromHex(std::string(64, 'G')), std::nullopt);
  EXPECT_EQ(Sha256::FromHex(std::string(64, 'A')), std::nullopt);
  EXPECT_EQ(Sha256::FromBytes(sha256.view()), sha256);
  EXPECT_EQ(Sha256::FromBytes("short"), std::nullopt);
}

TEST(Sha1Test, KnownAnswers) {
  EXPECT_EQ(Sha1Hex(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(Sha1Hex("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
}

}  // namespace
}  // namespace cloister
