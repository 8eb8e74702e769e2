#include "config/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cloister {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kHello = R"([app]
name = "hello"
version = "1.2.0"

[entry]
web = "app:application"
)";

std::string ErrorOf(std::string_view text) {
  Result<Manifest> manifest = ParseManifest(text, "cloister.toml");
  return manifest.ok() ? "no error" : manifest.error().message;
}

TEST(ManifestTest, TheSmallestOne) {
  Result<Manifest> manifest = ParseManifest(kHello, "cloister.toml");
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  EXPECT_EQ(manifest.value().app, "hello");
  EXPECT_EQ(manifest.value().tenant, "");
  EXPECT_EQ(manifest.value().version, "1.2.0");
  EXPECT_EQ(manifest.value().runtime, "python3.11");
  EXPECT_EQ(manifest.value().web_entry, "app:application");
  EXPECT_FALSE(manifest.value().stream);
  EXPECT_EQ(manifest.value().workers_min, 0U);
  EXPECT_FALSE(manifest.value().workers_max.has_value());
  EXPECT_TRUE(manifest.value().config.required.empty());
  EXPECT_FALSE(manifest.value().config.reload_live);
}

TEST(ManifestTest, EveryKey) {
  Result<Manifest> parsed = ParseManifest(R"([app]
name = "demo/hello"
version = 201105261324
runtime = "python3.11"
[entry]
web = "pkg.app:make.application"
stream = true
[bundle]
packages = ["flask", "web.py", "ruamel_yaml"]
[workers]
min = 1
max = 4
[limits]
memory = "128MiB"
wall = "5s"
cpu = 0.5
threads = 8
queue = 16
[config]
required = ["DATABASE_URL", "TOKEN"]
reload = "live"
)",
                                          "cloister.toml");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  const Manifest& manifest = parsed.value();
  EXPECT_EQ(manifest.tenant, "demo");
  EXPECT_EQ(manifest.app, "hello");
  EXPECT_EQ(manifest.version, "201105261324");
  EXPECT_TRUE(manifest.stream);
  EXPECT_THAT(manifest.packages, ElementsAre("flask", "web.py", "ruamel_yaml"));
  EXPECT_EQ(manifest.workers_min, 1U);
  EXPECT_EQ(manifest.workers_max, 4U);
  EXPECT_EQ(manifest.limits.memory, MiB(128));
  EXPECT_EQ(manifest.limits.wall, Millis(5000));
  EXPECT_EQ(manifest.limits.cpu_millis, 500U);
  EXPECT_EQ(manifest.limits.threads, 8U);
  EXPECT_EQ(manifest.limits.queue, 16U);
  EXPECT_THAT(manifest.config.required, ElementsAre("DATABASE_URL", "TOKEN"));
  EXPECT_TRUE(manifest.config.reload_live);
}

struct BadManifest {
  std::string_view added;  // to kHello, from line 7 on
  std::string_view message;
};

TEST(ManifestTest, SaysWhatIsWrongAndWhere) {
  const BadManifest manifests[] = {
      {"steam = true", "cloister.toml:7: unknown key 'steam' in [entry]; did you mean 'stream'?"},
      {"[limit]", "cloister.toml:7: unknown section [limit]; did you mean 'limits'?"},
      {"[limits]\nmemori = \"1MiB\"", "cloister.toml:8: unknown key 'memori' in [limits]; did you"},
      {"[limits]\nmemory = 64", "cloister.toml:8: memory must be a size with its unit"},
      {"[limits]\nmemory = \"1MiB\"", "must be from 32MiB to 1TiB"},
      {"[workers]\nmin = 5\nmax = 4", "[workers] max must not be smaller than min"},
      {"[bundle]\npackages = [\"flask>=2\"]", "'flask>=2' is not a package's name"},
      {"[bundle]\npackages = \"flask\"", "must be a list of strings"},
      {"[check]\npath = \"/\"", "cloister.toml:7: this section is written [[check]]"},
      {"[[limits]]\nmemory = \"64MiB\"", "cloister.toml:7: this section is written [limits]"},
      {"[[static]]", "cloister.toml:7: this section is written [static]"},
      {"[config]\nrequired = [\"A-B\"]", "cloister.toml:8: required 'A-B' cannot be a key"},
      {"[config]\nrequired = [\"PYTHONPATH\"]", "cloister.toml:8: required 'PYTHONPATH' cannot"},
      {"[config]\nreload = \"now\"", "cloister.toml:8: reload must be \"swap\""},
      {"[config]\nrequire = []", "unknown key 'require' in [config]; did you mean 'required'?"},
      {"[app]", "cloister.toml:7: "},
      {"web = 1", "cloister.toml:7: "},
  };
  for (const BadManifest& bad : manifests)
    EXPECT_THAT(ErrorOf(std::string(kHello) + std::string(bad.added) + "\n"),
                HasSubstr(std::string(bad.message)))
        << bad.added;
}

TEST(ManifestTest, NamesWhatIsMissing) {
  EXPECT_EQ(ErrorOf("[app]\n"),
            "cloister.toml:1: [app] name is missing, such as name = \"hello\"\n"
            "cloister.toml:1: [app] version is missing, such as version = \"1.0.0\"\n"
            "cloister.toml:1: [entry] web is missing, such as web = \"app:application\"");
}

std::string WithVersion(const std::string& version) {
  return "[app]\nname = \"a\"\nversion = " + version + "\n[entry]\nweb = \"a:b\"\n";
}

TEST(ManifestTest, VersionsAreSemVerOrNumbers) {
  for (const char* good : {"\"0.0.0\"", "\"1.2.3\"", "\"1.2.3-rc.1\"", "\"1.2.3--\"", "7", "\"7\"",
                           "\"20110526\"", "\"1.0.0-0.a.0b\"", "\"10.20.30\"", "\"1234567.0.0\""})
    EXPECT_EQ(ErrorOf(WithVersion(good)), "no error") << good;
  for (const char* bad : {"\"1.2\"", "\"v1.2.3\"", "\"01.2.3\"", "\"1.2.3-\"", "\"1.2.3-01\"",
                          "\"1.2.3+b\"", "\"1.2.3-a..b\"", "\"1.2.3.4\"", "\"007\"",
                          "\"201105261324.0.0\"", "\"1..3\"", "\"1.2.3 \""})
    EXPECT_THAT(ErrorOf(WithVersion(bad)), HasSubstr("cloister.toml:3: version '")) << bad;
  for (const char* no_text : {"\"\"", "1.2", "-1", "true"})
    EXPECT_THAT(ErrorOf(WithVersion(no_text)), HasSubstr("cloister.toml:3: version must"))
        << no_text;
}

TEST(ManifestTest, EntryIsModuleAndCallable) {
  for (const char* bad :
       {"app", "app:", ":app", "a b:c", "a..b:c", "1a:b", "a:b:c", "a/b:c", "a:b()"})
    EXPECT_THAT(
        ErrorOf("[app]\nname = \"a\"\nversion = 1\n[entry]\nweb = \"" + std::string(bad) + "\"\n"),
        HasSubstr("cloister.toml:5: web must be \"module:callable\""))
        << bad;
}

TEST(ManifestTest, NamesAreChecked) {
  for (const char* bad :
       {"Hello", "-a", "a_b", "a/b/c", "a/", "/a", "abcdefghijklmnopqrstuvwxyz12345"})
    EXPECT_THAT(ErrorOf("[app]\nname = \"" + std::string(bad) +
                        "\"\nversion = 1\n[entry]\nweb = \"a:b\"\n"),
                HasSubstr("cloister.toml:2: name "))
        << bad;
}

TEST(ManifestTest, SizeIsBounded) {
  std::string text(kHello);
  text.append(kManifestMax - text.size(), '#');
  EXPECT_EQ(ErrorOf(text), "no error");
  EXPECT_THAT(ErrorOf(text + "#"), HasSubstr("at most 65536 are read"));
}

TEST(ManifestTest, DeepNestingIsRefusedNotFollowed) {
  EXPECT_THAT(ErrorOf("a = " + std::string(30000, '[')), HasSubstr("cloister.toml:1: "));
  EXPECT_THAT(ErrorOf("\xff\xfe"), HasSubstr("cloister.toml:1: "));
}

}  // namespace
}  // namespace cloister
