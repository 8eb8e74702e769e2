#include "config/manifest_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/manifest.h"

namespace cloister {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kHello = R"([app]
name = "hello"
version = "1.2.0"
[entry]
web = "app:application"
)";

Result<Manifest> Parse(const std::string& checks) {
  return ParseManifest(std::string(kHello) + checks, "cloister.toml");
}

std::string ErrorOf(const std::string& checks) {
  const Result<Manifest> manifest = Parse(checks);
  return manifest.ok() ? "no error" : manifest.error().message;
}

TEST(ManifestCheckTest, APathIsEnough) {
  const Result<Manifest> manifest = Parse("[[check]]\npath = \"/health\"\n");
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  ASSERT_EQ(manifest.value().checks.size(), 1U);
  const ManifestCheck& check = manifest.value().checks[0];
  EXPECT_EQ(check.path, "/health");
  EXPECT_EQ(check.method, "GET");
  EXPECT_TRUE(check.headers.empty());
  EXPECT_EQ(check.body, "");
  EXPECT_EQ(check.status, 200U);
  EXPECT_EQ(check.contains, "");
  EXPECT_EQ(check.matches, "");
  EXPECT_EQ(check.time, Millis(5000));
}

TEST(ManifestCheckTest, EveryKeyInTheirOrder) {
  const Result<Manifest> manifest = Parse(R"([[check]]
path = "/"
[[check]]
path = "/cart?item=%C3%A9"
method = "POST"
headers = ["Host: shop.example", "X-Token:  a: b  "]
body = """
{"n": 1}
"""
status = 302
contains = "moved"
matches = '(?i)\bcart\b'
time = "500ms"
)");
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  ASSERT_EQ(manifest.value().checks.size(), 2U);
  EXPECT_EQ(manifest.value().checks[0].path, "/");
  const ManifestCheck& check = manifest.value().checks[1];
  EXPECT_EQ(check.path, "/cart?item=%C3%A9");
  EXPECT_EQ(check.method, "POST");
  ASSERT_EQ(check.headers.size(), 2U);
  EXPECT_EQ(check.headers[0].name, "host");
  EXPECT_EQ(check.headers[0].value, "shop.example");
  EXPECT_EQ(check.headers[1].name, "x-token");
  EXPECT_EQ(check.headers[1].value, "a: b");
  EXPECT_EQ(check.body, "{\"n\": 1}\n");
  EXPECT_EQ(check.status, 302U);
  EXPECT_EQ(check.contains, "moved");
  EXPECT_EQ(check.matches, "(?i)\\bcart\\b");
  EXPECT_EQ(check.time, Millis(500));
}

struct BadCheck {
  std::string lines;  // from line 7 on
  std::string message;
};

TEST(ManifestCheckTest, SaysWhatIsWrongAndWhere) {
  const BadCheck checks[] = {
      {"", "cloister.toml:6: [[check]] path is missing"},
      {"paht = \"/\"", "cloister.toml:7: unknown key 'paht' in [[check]]; did you mean 'path'?"},
      {"path = \"health\"", "cloister.toml:7: path must begin with '/'"},
      {"path = \"\"", "cloister.toml:7: path must not be empty"},
      {"path = \"/a b\"", "cloister.toml:7: path must begin with '/'"},
      {"path = \"/\u00e9\"", "cloister.toml:7: path must begin with '/'"},
      {"path = \"/a#b\"", "cloister.toml:7: path must begin with '/'"},
      {"path = \"/a\\nb\"", "cloister.toml:7: path must not contain control characters"},
      {"path = \"/%\"", "cloister.toml:7: path has a '%' that begins no escape"},
      {"path = \"/%4g\"", "cloister.toml:7: path has a '%' that begins no escape"},
      {"path = \"/%00\"", "cloister.toml:7: path has a '%' that begins no escape"},
      {"method = \"get\"", "cloister.toml:7: method must be one of GET, HEAD, POST, PUT"},
      {"method = \"CONNECT\"", "cloister.toml:7: method must be one of"},
      {"headers = \"A: b\"", "cloister.toml:7: headers must be a list of strings"},
      {"headers = [\"A\"]", "cloister.toml:7: headers must be like"},
      {"headers = [\": b\"]", "cloister.toml:7: headers must be like"},
      {"headers = [\"A b: c\"]", "headers has a name with other characters"},
      {"headers = [\"A_b: c\"]", "headers has a name with other characters"},
      {"headers = [\"A: b\\r\\nC: d\"]", "headers must not contain control characters"},
      {"headers = [\"content-Length: 1\"]", "headers must not name 'content-length'"},
      {"headers = [\"Host: a\", \"host: b\"]", "headers must name one Host at most"},
      {"body = 1", "cloister.toml:7: body must be a string in quotes"},
      {"status = 199", "cloister.toml:7: status must be from 200 to 599, not 199"},
      {"status = 600", "cloister.toml:7: status must be from 200 to 599, not 600"},
      {"status = \"200\"", "cloister.toml:7: status must be a whole number"},
      {"contains = \"\"", "cloister.toml:7: contains must not be empty"},
      {"matches = \"\"", "cloister.toml:7: matches must not be empty"},
      {"time = 5", "cloister.toml:7: time must be a duration with its unit"},
      {"time = \"9ms\"", "cloister.toml:7: time must be from 10ms to 5min"},
      {"path.a = 1", "cloister.toml:7: unknown key 'path.a' in [[check]]"},
      {"path = \"/\"\npath = \"/\"", "cloister.toml:8: the key 'path' is there twice"},
  };
  for (const BadCheck& bad : checks)
    EXPECT_THAT(ErrorOf("[[check]]\n" + bad.lines + "\n"), HasSubstr(bad.message)) << bad.lines;
}

// A string of so many bytes is the last that is read.
void ExpectMax(const std::string& before, std::size_t max, const std::string& after) {
  const std::string start = "[[check]]\n" + before;
  EXPECT_EQ(ErrorOf(start + std::string(max, 'a') + after), "no error") << before;
  EXPECT_NE(ErrorOf(start + std::string(max + 1, 'a') + after), "no error") << before;
}

TEST(ManifestCheckTest, EverythingIsBounded) {
  ExpectMax("path = \"/", 2047, "\"");
  ExpectMax("path = \"/\"\nbody = \"", 16384, "\"");
  ExpectMax("path = \"/\"\ncontains = \"", 4096, "\"");
  ExpectMax("path = \"/\"\nmatches = \"", 4096, "\"");
  ExpectMax("path = \"/\"\nheaders = [\"a:", 2046, "\"]");
  std::string checks;
  for (int i = 0; i < 32; ++i)
    checks += "[[check]]\npath = \"/\"\n";
  EXPECT_EQ(ErrorOf(checks), "no error");
  EXPECT_EQ(ErrorOf(checks + "[[check]]\npath = \"/\"\n"),
            "cloister.toml:70: there are more than 32 checks");
  std::string headers = "\"a: 1\"";
  for (int i = 1; i < 32; ++i)
    headers += ",\"a: 1\"";
  EXPECT_EQ(ErrorOf("[[check]]\npath = \"/\"\nheaders = [" + headers + "]"), "no error");
  EXPECT_THAT(ErrorOf("[[check]]\npath = \"/\"\nheaders = [" + headers + ",\"a: 1\"]"),
              HasSubstr("headers must have from 0 to 32 entries"));
}

}  // namespace
}  // namespace cloister
