#include "daemon/admin/body.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>

#include <nlohmann/json.hpp>

#include "tests/daemon/admin/whole_exchange.h"
#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

const std::string kHash(64, 'a');

template <typename T>
std::string Refusal(const Outcome<T>& outcome) {
  if (outcome.ok())
    return "accepted";
  return std::string(InfoOf(outcome.error().code).code) + ": " + outcome.error().detail;
}

TEST(BodyTest, ABodyInMemoryOrInAFileIsReadWhole) {
  WholeExchange small("POST", "/", "in memory");
  EXPECT_EQ(std::move(ReadBody(*TakeBody(small))).value(), "in memory");
  const TempDir dir;
  dir.Write("spool", std::string(100'000, 'x'));
  WholeExchange large("POST", "/");
  large.request().body.file = UniqueFd(::open(dir.At("spool").c_str(), O_RDONLY | O_CLOEXEC));
  large.request().body.size = 100'000;
  const auto taken = TakeBody(large);
  EXPECT_FALSE(large.request().body.file.valid());
  EXPECT_EQ(std::move(ReadBody(*taken)).value(), std::string(100'000, 'x'));
}

TEST(BodyTest, WhatIsNoJsonObjectIsRefused) {
  for (const char* text :
       {"", "{", "[]", "1", "{\"a\":}", "\xff\xfe", "{} {}", "nul", "{\"a\":1,}"})
    EXPECT_TRUE(Refusal(ParseObject(text, {})).starts_with("json_invalid")) << text;
  EXPECT_EQ(Refusal(ParseObject(" {\"a\": [1, 2.5, null, true, \"\\u00fc\"]} ", {})), "accepted");
}

TEST(BodyTest, DepthAndNumberOfValuesAreBounded) {
  const std::string deep = "{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  EXPECT_TRUE(Refusal(ParseObject(deep, {})).starts_with("json_invalid"));
  std::string wide = "{\"a\":[0";
  for (int i = 0; i < 3000; ++i)
    wide += ",0";
  EXPECT_TRUE(Refusal(ParseObject(wide + "]}", {})).starts_with("json_invalid"));
  EXPECT_EQ(Refusal(ParseObject(wide + "]}", kFileListBounds)), "accepted");
  const auto nested = [](std::size_t depth) {
    return R"({"a":)" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
  };
  EXPECT_EQ(Refusal(ParseObject(nested(4), {.depth = 4})), "accepted");
  EXPECT_NE(Refusal(ParseObject(nested(5), {.depth = 4})), "accepted");
  EXPECT_EQ(Refusal(ParseObject("{\"a\":[1,2]}", {.values = 4})), "accepted");
  EXPECT_NE(Refusal(ParseObject("{\"a\":[1,2,3]}", {.values = 4})), "accepted");
}

TEST(BodyTest, JsonComesBackAsItWas) {
  const std::string text =
      R"({"a":[1,-2,2.5,null,true,false,"\u00fc\n",{"b":{}},[]],"c":18446744073709551615})";
  const Result<nlohmann::json> json = ParseBoundedJson(text, {});
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(json.value(), nlohmann::json::parse(text));
}

TEST(BodyTest, UnknownFieldsAreRefusedWithTheNearestName) {
  EXPECT_EQ(ParseName(R"({"name": "demo"})").value(), "demo");
  EXPECT_EQ(Refusal(ParseName(R"({"nmae": "demo"})")),
            "field_unknown: unknown field 'nmae'; did you mean 'name'?");
  EXPECT_EQ(Refusal(ParseName("{}")), "field_invalid: name is missing");
  EXPECT_EQ(Refusal(ParseName(R"({"name": 1})")), "field_invalid: name is not a string");
}

TEST(BodyTest, AReleaseIsReadWithItsPlacesInTheErrors) {
  const Outcome<ReleaseBody> body =
      ParseReleaseBody(R"({"files": [{"path": "a.py", "size": 3, "sha256": ")" + kHash +
                       R"("}], "allow_downgrade": true, "left_out": ["b.so", "c.so"]})");
  ASSERT_TRUE(body.ok());
  EXPECT_EQ(body.value().files.front().path, "a.py");
  EXPECT_EQ(body.value().files.front().size, 3U);
  EXPECT_EQ(body.value().files.front().sha256.Hex(), kHash);
  EXPECT_TRUE(body.value().allow_downgrade);
  EXPECT_EQ(body.value().left_out, 2U);

  const auto refusal = [](const std::string& files) {
    return Refusal(ParseReleaseBody(R"({"files": )" + files + "}"));
  };
  EXPECT_EQ(refusal("1"), "field_invalid: files is not a list");
  EXPECT_EQ(refusal("[1]"), "field_invalid: files[0] is not an object");
  EXPECT_EQ(refusal("[{}]"), "field_invalid: files[0].path is missing");
  EXPECT_EQ(refusal(R"([{"path": "a", "size": -1, "sha256": ")" + kHash + "\"}]"),
            "field_invalid: files[0].size is not a whole number from 0 on");
  EXPECT_EQ(refusal(R"([{"path": "a", "size": 1.5, "sha256": ")" + kHash + "\"}]"),
            "field_invalid: files[0].size is not a whole number from 0 on");
  EXPECT_NE(refusal(R"([{"path": "a", "size": 1, "sha256": "ABC"}])").find("files[0].sha256"),
            std::string::npos);
  EXPECT_NE(refusal(R"([{"path": "a", "siez": 1}])").find("'files[0].siez'; did you mean 'size'"),
            std::string::npos);
  EXPECT_EQ(Refusal(ParseReleaseBody(R"({"files": [], "allow_downgrade": 1})")),
            "field_invalid: allow_downgrade is not true or false");
}

TEST(BodyTest, ContentNames) {
  const auto names = ParseContentNames(R"({"files": [{"sha256": ")" + kHash + R"(", "size": 7}]})");
  ASSERT_TRUE(names.ok());
  EXPECT_EQ(names.value().front().size, 7U);
}

TEST(QueryTest, ParametersAreKnownAndThereOnce) {
  constexpr std::array<std::string_view, 3> kKnown = {"after", "app", "force"};
  const Query query = std::move(Query::Parse("after=12&app=demo%2Fhello&force=1", kKnown)).value();
  EXPECT_EQ(query.Number("after", 100).value(), 12U);
  EXPECT_EQ(query.Text("app"), "demo/hello");
  EXPECT_TRUE(query.Flag("force").value());
  EXPECT_EQ(query.Text("other"), std::nullopt);
  EXPECT_FALSE(query.Number("after", 11).ok());
  EXPECT_FALSE(query.Number("app", 100).ok());
  EXPECT_FALSE(query.Flag("after").ok());
  EXPECT_FALSE(std::move(Query::Parse("", kKnown)).value().Flag("force").value());
  for (const char* bad : {"aftre=1", "after=1&after=2", "after=%zz", "after=%4"})
    EXPECT_TRUE(Refusal(Query::Parse(bad, kKnown)).starts_with("query_invalid")) << bad;
  EXPECT_NE(Refusal(Query::Parse("aftre=1", kKnown)).find("did you mean 'after'"),
            std::string::npos);
  for (const char* bad : {"", "-1", "1x", "99999999999999999999999"})
    EXPECT_FALSE(std::move(Query::Parse("after=" + std::string(bad), kKnown))
                     .value()
                     .Number("after", 9)
                     .ok());
}

}  // namespace
}  // namespace cloister
