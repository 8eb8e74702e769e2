#include "apis/base/unicode.h"

#include <gtest/gtest.h>

#include <string>

namespace cloister {
namespace {

std::u32string Points(std::string_view text) {
  return DecodeUtf8(text).value_or(U"<not UTF-8>");
}

TEST(UnicodeTest, RoundTripsEveryLength) {
  const std::u32string points = U"a\u007f\u0080\u07ff\u0800\uffff\U00010000\U0010ffff";
  EXPECT_EQ(Points(EncodeUtf8(points)), points);
}

TEST(UnicodeTest, RefusesWhatIsNotUtf8) {
  for (const std::string_view text :
       {"\x80", "\xc3", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf0\x80\x80\xaf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xe2\x82"})
    EXPECT_FALSE(IsUtf8(text)) << Utf8OrReplaced(text);
}

// The examples of Unicode Standard Annex 15 and of its conformance test.
TEST(UnicodeTest, ComposesAsTheAnnexSays) {
  const struct {
    std::u32string_view from;
    std::u32string_view to;
  } rows[] = {
      {U"e\u0301", U"\u00e9"},
      {U"\u212b", U"\u00c5"},               // angstrom sign
      {U"\u1e9b\u0323", U"\u1e9b\u0323"},   // long s, dot above, dot below
      {U"d\u0323\u0307", U"\u1e0d\u0307"},  // d, dot below, dot above
      {U"d\u0307\u0323", U"\u1e0d\u0307"},  // the same in the other order
      {U"\u00e9\u0327", U"\u0229\u0301"},   // e acute + cedilla
      {U"\u1100\u1161\u11a8", U"\uac01"},   // Hangul by arithmetic
      {U"\uac00\u11a8", U"\uac01"},
      {U"\u0958", U"\u0915\u093c"},  // a composition exclusion
      {U"\u0344", U"\u0308\u0301"},
      {U"\U0001d15e", U"\U0001d157\U0001d165"},  // musical half note
      {U"x\u0301", U"x\u0301"},
      {U"a\u0315\u0300\u05ae\u0300b", U"\u00e0\u05ae\u0300\u0315b"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(NormalizeNfc(row.from), row.to);
    EXPECT_EQ(IsNfc(EncodeUtf8(row.from)), row.from == row.to);
    EXPECT_TRUE(IsNfc(EncodeUtf8(row.to)));
  }
}

TEST(UnicodeTest, ReplacesStrayBytesOnly) {
  EXPECT_EQ(Utf8OrReplaced("gr\xc3\xbc\xc3\x9f\xff!"), "grüß\uFFFD!");
}

}  // namespace
}  // namespace cloister
