#include "apis/backends/sodium.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

namespace cloister {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kPlain = "postgresql://shop:hunter2@db/shop";

TEST(SodiumTest, WhatIsSealedOpensInItsPlace) {
  const SealKey key = SealKey::Generate();
  const std::string sealed = key.Seal("app 1 NAME", kPlain);
  EXPECT_EQ(sealed.size(), kPlain.size() + SealKey::kOverhead);
  EXPECT_THAT(sealed, Not(HasSubstr("hunter2")));
  EXPECT_EQ(key.Open("app 1 NAME", sealed).value().text(), kPlain);
}

TEST(SodiumTest, NothingIsAValueToo) {
  const SealKey key = SealKey::Generate();
  EXPECT_EQ(key.Open("p", key.Seal("p", "")).value().text(), "");
}

TEST(SodiumTest, TwoSealsOfOneValueDiffer) {
  const SealKey key = SealKey::Generate();
  EXPECT_NE(key.Seal("p", kPlain), key.Seal("p", kPlain));
}

TEST(SodiumTest, MovedToAnotherPlaceItDoesNotOpen) {
  const SealKey key = SealKey::Generate();
  const std::string sealed = key.Seal("app 1 NAME", kPlain);
  for (const char* place : {"app 2 NAME", "app 1 OTHER", "", "app 1 NAMEX"})
    EXPECT_FALSE(key.Open(place, sealed).ok()) << place;
}

TEST(SodiumTest, AnyBitThatIsFlippedShows) {
  const SealKey key = SealKey::Generate();
  const std::string sealed = key.Seal("p", "12345678");
  for (std::size_t i = 0; i < sealed.size() * 8; ++i) {
    std::string flipped = sealed;
    flipped[i / 8] = static_cast<char>(flipped[i / 8] ^ (1 << (i % 8)));
    EXPECT_FALSE(key.Open("p", flipped).ok()) << i;
  }
}

TEST(SodiumTest, WhatIsCutOffDoesNotOpen) {
  const SealKey key = SealKey::Generate();
  const std::string sealed = key.Seal("p", "12345678");
  for (std::size_t size = 0; size < sealed.size(); ++size)
    EXPECT_FALSE(key.Open("p", std::string_view(sealed).substr(0, size)).ok()) << size;
}

TEST(SodiumTest, AnotherKeyDoesNotOpenItAndIsNamed) {
  const SealKey key = SealKey::Generate();
  const SealKey other = SealKey::Generate();
  EXPECT_NE(key.id(), other.id());
  const Result<SecretText> opened = other.Open("p", key.Seal("p", kPlain));
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message, HasSubstr(other.id()));
}

TEST(SodiumTest, AKeyIsItsBytes) {
  const SealKey key = SealKey::Generate();
  const SealKey same = SealKey::FromBytes(key.bytes()).value();
  EXPECT_EQ(same.id(), key.id());
  EXPECT_EQ(same.Open("p", key.Seal("p", kPlain)).value().text(), kPlain);
  EXPECT_FALSE(SealKey::FromBytes(key.bytes().substr(1)).ok());
  EXPECT_FALSE(SealKey::FromBytes(std::string(33, 'k')).ok());
}

TEST(SodiumTest, ASecretLeavesNothingWhereItWas) {
  SecretText first(std::string(100, 's'));
  const char* memory = first.text().data();
  SecretText second = std::move(first);
  EXPECT_EQ(second.text(), std::string(100, 's'));
  EXPECT_EQ(std::string(memory, 100), std::string(100, '\0'));
}

}  // namespace
}  // namespace cloister
