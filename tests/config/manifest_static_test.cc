#include "config/manifest_static.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "config/manifest.h"

namespace cloister {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kHello =
    "[app]\nname = \"hello\"\nversion = \"1.0.0\"\n[entry]\nweb = \"blog.app:application\"\n";

// [static] is line 6, its first row line 7.
Result<Manifest> Parse(std::string_view rows) {
  return ParseManifest(std::string(kHello) + "[static]\n" + std::string(rows) + "\n",
                       "cloister.toml");
}
std::string ErrorOf(std::string_view rows) {
  const Result<Manifest> parsed = Parse(rows);
  return parsed.ok() ? "no error" : parsed.error().message;
}
std::vector<StaticRoute> RoutesOf(std::string_view rows) {
  return std::move(Parse(rows)).value().statics;
}

TEST(ManifestStaticTest, RowsLeadToFoldersAndFiles) {
  const std::vector<StaticRoute> routes = RoutesOf(R"("/a/" = "static"
"/favicon.ico" = "static/favicon.ico"
"/a/fonts/" = { folder = "fonts/", cache = "365d" }
"/été/" = 'static/été/'
"/r" = { cache = "90s", file = "r.txt" })");
  ASSERT_EQ(routes.size(), 5U);
  EXPECT_EQ(StaticsText(routes),
            "/favicon.ico\tstatic/favicon.ico\t0\n"
            "/a/fonts/\tfonts/\t31536000\n"
            "/été/\tstatic/été/\t0\n"
            "/a/\tstatic/\t0\n"
            "/r\tr.txt\t90\n");
  EXPECT_EQ(routes[1].line, 9U);
}

TEST(ManifestStaticTest, WithoutTheSectionThereAreNone) {
  EXPECT_TRUE(ParseManifest(kHello, "x").value().statics.empty());
  EXPECT_TRUE(RoutesOf("").empty());
}

TEST(ManifestStaticTest, TheLongestPathDecides) {
  const std::vector<StaticRoute> routes =
      RoutesOf("\"/\" = \"public\"\n\"/a/\" = \"a\"\n\"/a/b/\" = \"b\"\n\"/a/x\" = \"x.txt\"");
  const std::pair<const char*, const char*> kFound[] = {
      {"/", "public/"},  {"/index.html", "public/"},
      {"/a", "public/"}, {"/a/", "a/"},
      {"/a/c", "a/"},    {"/a/b", "a/"},
      {"/a/b/", "b/"},   {"/a/b/c/d", "b/"},
      {"/a/x", "x.txt"}, {"/a/x/", "a/"},
      {"/a/xy", "a/"},
  };
  for (const auto& [path, target] : kFound) {
    const StaticRoute* const route = FindStatic(routes, path);
    ASSERT_NE(route, nullptr) << path;
    EXPECT_EQ(route->target, target) << path;
  }
  EXPECT_EQ(FindStatic(routes, "*"), nullptr);
  EXPECT_EQ(FindStatic(RoutesOf("\"/a/\" = \"a\""), "/b/"), nullptr);
}

TEST(ManifestStaticTest, SaysWhatIsWrongAndWhere) {
  const std::pair<const char*, const char*> kBad[] = {
      {"\"a/\" = \"static\"", "cloister.toml:7: [static] 'a/' must begin with '/'"},
      {"\"/a/../\" = \"static\"", "must have no part '.' or '..'"},
      {"\"/..\" = \"static\"", "must have no part '.' or '..'"},
      {"\"/./a\" = \"static\"", "must have no part '.' or '..'"},
      {"\"/a//\" = \"static\"", "must have no empty part"},
      {"\"/a?b\" = \"static\"", "must have no '?'"},
      {"\"/a\\u0009b\" = \"static\"", "control character"},
      {"\"/a%20b\" = \"static\"", "must be written without %XX"},
      {"\"/a/\" = \"../static\"", "must name a folder in the bundle: '../static'"},
      {"\"/a/\" = \"/static\"", "is absolute"},
      {"\"/a/\" = \"static//\"", "must name a folder in the bundle"},
      {"\"/a/\" = \"\"", "not all of it is for everybody"},
      {"\"/a/\" = \"./\"", "not all of it is for everybody"},
      {"\"/\" = \".\"", "not all of it is for everybody"},
      {"\"/a\" = \"static/\"", "it must lead to a file, not to a folder"},
      {"\"/a/\" = 1", "must be a folder or file of the bundle in quotes"},
      {"\"/a/\" = [\"static\"]", "must be a folder or file of the bundle in quotes"},
      {"\"/a/\" = { folder = 1 }", "must be a folder or file of the bundle in quotes"},
      {"\"/a/\".b = \"static\"", "must be a folder or file of the bundle in quotes"},
      {"\"/a/\" = { cache = \"1h\" }", "must name its folder"},
      {"\"/a\" = { folder = \"a\" }", "has an unknown key 'folder'; "},
      {"\"/a/\" = { folder = \"a\", cash = \"1h\" }", "unknown key 'cash'; did you mean 'cache'?"},
      {"\"/a/\" = { folder = \"a\", cache = \"1\" }", "cache must be a duration with its unit"},
      {"\"/a/\" = { folder = \"a\", cache = \"366d\" }", "cache must be from 0ms to 365d"},
      {"\"/a/\" = { folder = \"a\", folder = \"b\" }", "the key 'folder' is there twice"},
      {"\"/a/\" = \"a\"\n\"/a/\" = \"b\"", "cloister.toml:8: the key '/a/' is there twice"},
      {"\"/a/\" = \"a\"\n\n\"/a\" = \"b\"", "cloister.toml:9: [static] '/a' and '/a/' are both"},
  };
  for (const auto& [rows, message] : kBad)
    EXPECT_THAT(ErrorOf(rows), HasSubstr(message)) << rows;
}

std::string Rows(std::size_t count) {
  std::string rows;
  for (std::size_t i = 0; i < count; ++i)
    rows += "\"/p" + std::to_string(i) + "/\" = \"static\"\n";
  return rows;
}

TEST(ManifestStaticTest, NumberOfRowsAndLengthOfAPathAreBounded) {
  EXPECT_EQ(RoutesOf(Rows(64)).size(), 64U);
  EXPECT_THAT(ErrorOf(Rows(65)), HasSubstr("cloister.toml:71: [static] has more than 64 rows"));
  const std::string longest = "/" + std::string(254, 'a') + "/";
  EXPECT_EQ(RoutesOf("\"" + longest + "\" = \"a\"").size(), 1U);
  EXPECT_THAT(ErrorOf("\"" + longest + "b/\" = \"a\""), HasSubstr("at most 256 bytes"));
}

std::string CheckedAgainst(const std::set<std::string>& files, std::string_view rows) {
  const Manifest manifest = std::move(Parse(rows)).value();
  const StaticBundle bundle = {
      .has_file = [&](std::string_view path) { return files.contains(std::string(path)); },
      .has_folder =
          [&](std::string_view folder) {
            return std::ranges::any_of(files,
                                       [&](const auto& file) { return file.starts_with(folder); });
          },
      .web_entry = manifest.web_entry};
  const Result<void> checked = CheckStatics(manifest.statics, bundle, "cloister.toml");
  return checked.ok() ? "no error" : checked.error().message;
}

TEST(ManifestStaticTest, TheBundleMustHaveWhatRowsLeadTo) {
  const std::set<std::string> files = {"blog/app.py", "blog/logo.png", "static/a.css", "r.txt"};
  EXPECT_EQ(CheckedAgainst(files, "\"/a/\" = \"static\"\n\"/r\" = \"r.txt\""), "no error");
  EXPECT_EQ(
      CheckedAgainst(files, "\"/r\" = \"r.text\"\n\"/a/\" = \"stat\""),
      "cloister.toml:7: [static] '/r' leads to 'r.text', but the bundle has no such file\n"
      "cloister.toml:8: [static] '/a/' leads to 'stat/', but the bundle has no file below it: put "
      "the files there (with Django: manage.py collectstatic), or leave the row out while there "
      "are none");
  EXPECT_THAT(CheckedAgainst(files, "\"/a\" = \"static\""),
              HasSubstr("which is a folder: end the path in '/'"));
  EXPECT_THAT(CheckedAgainst(files, "\"/r/\" = \"r.txt\""),
              HasSubstr("which is a file: leave out the '/'"));
}

TEST(ManifestStaticTest, TheAppsOwnModuleIsNotPublished) {
  const std::set<std::string> files = {"blog/app.py",    "blog/logo.png",
                                       "blog/css/a.css", "site-packages/blog/app.py",
                                       "cloister.toml",  "site-packages/other/a.css"};
  EXPECT_EQ(CheckedAgainst(files, "\"/o/\" = \"site-packages/other\""), "no error");
  EXPECT_EQ(CheckedAgainst(files, "\"/a/\" = \"blog/css\"\n\"/l\" = \"blog/logo.png\""),
            "no error");
  for (const char* row :
       {"\"/a/\" = \"blog\"", "\"/a.py\" = \"blog/app.py\"", "\"/a/\" = \"site-packages/blog\"",
        "\"/a\" = \"site-packages/blog/app.py\"", "\"/m\" = \"cloister.toml\""})
    EXPECT_THAT(CheckedAgainst(files, row), HasSubstr("holds the app's own module")) << row;
}

TEST(StaticsTextTest, ReadsBackAndRefusesOthers) {
  const std::string text = StaticsText(RoutesOf(
      "\"/\" = \"public\"\n\"/a b/\" = { folder = \"a b\", cache = \"1h\" }\n\"/r\" = \"r.txt\""));
  EXPECT_EQ(StaticsText(std::move(ParseStaticsText(text)).value()), text);
  EXPECT_TRUE(std::move(ParseStaticsText("")).value().empty());
  for (const char* damaged :
       {"x", "/a/\tstatic/\t0", "/a/\tstatic/\n", "/a/\tstatic/\tx\n", "/a/\tstatic/\t-1\n",
        "/a/\tstatic\t0\n", "/a/\t../\t0\n", "a\tb\t0\n", "/a/\tb/\t0\tc\n", "\n",
        "/a/\tb/\t99999999999999999999\n", "/a/\tb/\t31536001\n"})
    EXPECT_FALSE(ParseStaticsText(damaged).ok()) << damaged;
}

}  // namespace
}  // namespace cloister
