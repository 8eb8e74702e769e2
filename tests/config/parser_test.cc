#include "config/parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/render.h"
#include "config/validate.h"

namespace cloister {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(std::string_view text) {
  Result<Settings> settings = ParseSettings(text, "cloisterd.toml");
  return settings.ok() ? "no error" : settings.error().message;
}

TEST(SettingsParserTest, EmptyFileGivesTheDefaults) {
  Result<Settings> settings = ParseSettings("", "x");
  ASSERT_TRUE(settings.ok()) << settings.error().message;
  EXPECT_EQ(settings.value().node.state_dir, "/var/lib/cloister");
  EXPECT_EQ(settings.value().limits.worker.memory_max, MiB(256));
}

TEST(SettingsParserTest, AdminSocketOfRootsOwnNodeIsWhereTheCommandLineLooks) {
  constexpr uid_t kRoot = 0;
  constexpr uid_t kUser = 1000;
  Settings settings;
  EXPECT_EQ(AdminSocketPath(settings, kRoot), "/run/cloister/admin.sock");
  EXPECT_EQ(AdminSocketPath(settings, kUser), "/var/lib/cloister/admin.sock");
  settings.node.state_dir = "/srv/second";
  EXPECT_EQ(AdminSocketPath(settings, kRoot), "/srv/second/admin.sock");
  settings.admin.socket = "/run/second.sock";
  EXPECT_EQ(AdminSocketPath(settings, kRoot), "/run/second.sock");
}

TEST(SettingsParserTest, ReadsEveryUnit) {
  Result<Settings> settings = ParseSettings(R"([node]
state_dir = "/tmp/state"
log_level = "debug"
require = ["cgroups"]
stop_grace = "5ms"
[http]
listen = ["127.0.0.1:0", "[::1]:8080"]
body_max = "64 KiB"
header_timeout = "2min"
[limits]
cpu = 0.5
workers = 3
[log]
journal = true
)",
                                            "x");
  ASSERT_TRUE(settings.ok()) << settings.error().message;
  const Settings& read = settings.value();
  EXPECT_EQ(read.node.state_dir, "/tmp/state");
  EXPECT_EQ(read.node.log_level, LogLevel::kDebug);
  EXPECT_THAT(read.node.require, testing::ElementsAre("cgroups"));
  EXPECT_EQ(read.node.stop_grace, Millis(5));
  EXPECT_THAT(read.http.listen, testing::ElementsAre("127.0.0.1:0", "[::1]:8080"));
  EXPECT_EQ(read.http.body_max, KiB(64));
  EXPECT_EQ(read.http.header_timeout, Millis(120000));
  EXPECT_EQ(read.limits.worker.cpu_millis, 500U);
  EXPECT_EQ(read.limits.workers_max, 3U);
  EXPECT_TRUE(read.log.journal);
}

struct BadFile {
  std::string_view text;
  std::string_view message;
};

TEST(SettingsParserTest, SaysWhatIsWrongAndWhere) {
  const BadFile files[] = {
      {"[http]\nlisten = [\"127.0.0.1:1\"]\nbody_maks = \"1MiB\"\n",
       "cloisterd.toml:3: unknown key 'body_maks' in [http]; did you mean 'body_max'?"},
      {"[htp]\n", "cloisterd.toml:1: unknown section [htp]; did you mean 'http'?"},
      {"[node]\nlog_level = \"info\"\nlog_level = \"info\"\n", "cloisterd.toml:3: "},
      {"[http]\n[http]\n", "cloisterd.toml:2: "},
      {"\n[[http]]\n", "cloisterd.toml:2: section [http] is no list"},
      {"[http]\nbody_max = 65536\n", "body_max must be a size with its unit"},
      {"[http]\nbody_max = \"64\"\n", "with its unit"},
      {"[http]\nbody_max = \"64KB\"\n", "with its unit"},
      {"[http]\nbody_max = \"-1B\"\n", "with its unit"},
      {"[http]\nbody_max = \"99999999999TiB\"\n", "with its unit"},
      {"[http]\nbody_max = \"513MiB\"\n", "must not be larger than body_spool_app_max (512MiB)"},
      {"[http]\nbody_spool_app_max = \"31MiB\"\n", "must not be larger than body_spool_app_max"},
      {"[http]\nheader_timeout = \"30\"\n", "must be a duration with its unit"},
      {"[http]\nheader_timeout = \"1ms\"\n", "must be from 100ms to 10min"},
      {"[http]\nhead_max = \"33KiB\"\n", "must be from 1KiB to 32KiB"},
      {"[http]\nheaders_max = 101\n", "must be from 8 to 100, not 101"},
      {"[http]\nheaders_max = \"10\"\n", "must be a whole number"},
      {"[http]\nlisten = \"127.0.0.1:1\"\n", "must be a list of strings"},
      {"[http]\nlisten = []\n", "must have from 1 to 16 entries"},
      {"[http]\nlisten = [\"localhost:80\"]\n", "'localhost:80' is not an address"},
      {"[node]\nstate_dir = \"state\"\n", "must be an absolute path"},
      {"[node]\nstate_dir = \"/a\\nb\"\n", "control characters"},
      {"[node]\nrequire = [\"cgroup\"]\n", "unknown name 'cgroup'; did you mean 'cgroups'?"},
      {"[node]\nlog_level = \"loud\"\n", "must be \"debug\""},
      {"[log]\njournal = \"yes\"\n", "cloisterd.toml:2: journal must be true or false, not 'yes'"},
      {"[node]\nbase_domain = \".x\"\n", "is not a domain"},
      {"[limits]\ncpu = nan\n", "must be from 0.01 to 1024.0"},
      {"[limits]\nmemory = \"2GiB\"\n", "[limits] address_space: must not be smaller"},
      {"[admin]\nhealth_listen = \"0.0.0.0:1\"\n", "must be a loopback address"},
      {"state_dir = \"/x\"\n", "outside of a section; it belongs under [node]"},
      {"[node\n", "cloisterd.toml:1: "},
  };
  for (const BadFile& file : files)
    EXPECT_THAT(ErrorOf(file.text), HasSubstr(std::string(file.message))) << file.text;
}

TEST(SettingsParserTest, TrustedProxiesAreAddressesAndNetworks) {
  const Settings settings =
      ParseSettings("[http]\ntrusted_proxies = [\"10.0.0.0/8\", \"127.0.0.1\", \"::1\"]", "x")
          .value();
  ASSERT_EQ(settings.http.trusted_proxies.size(), 3U);
  EXPECT_EQ(settings.http.trusted_proxies[0].Text(), "10.0.0.0/8");
  EXPECT_THAT(RenderSettings(settings),
              HasSubstr("trusted_proxies = [\"10.0.0.0/8\", \"127.0.0.1\", \"::1\"]\n"));
  EXPECT_TRUE(ParseSettings("", "x").value().http.trusted_proxies.empty());
}

TEST(SettingsParserTest, ATrustedProxyThatIsNoneIsShownWithItsLine) {
  EXPECT_THAT(ErrorOf("[http]\n\ntrusted_proxies = [\"10.0.0.1/8\"]"),
              HasSubstr("cloisterd.toml:3: trusted_proxies is wrong: '10.0.0.1/8' has bits set"));
  EXPECT_THAT(ErrorOf("[http]\ntrusted_proxies = [\"proxy\"]"),
              HasSubstr("cloisterd.toml:2: trusted_proxies is wrong: 'proxy' is not an address"));
  EXPECT_THAT(ErrorOf("[http]\ntrusted_proxies = \"::1\""), HasSubstr("must be a list of strings"));
}

TEST(SettingsParserTest, ShowsAllProblemsInTheOrderOfTheFile) {
  EXPECT_EQ(ErrorOf("[workers]\nblanks = 999\n[http]\nheaders_max = 1\n"),
            "cloisterd.toml:2: blanks must be from 0 to 64, not 999\n"
            "cloisterd.toml:4: headers_max must be from 8 to 100, not 1");
}

TEST(SettingsParserTest, RefusesALargeFile) {
  const std::string comment(kSettingsFileMax, '#');
  EXPECT_EQ(ErrorOf(comment), "no error");
  EXPECT_THAT(ErrorOf(comment + "#"), HasSubstr("at most 262144 are read"));
}

TEST(SettingsRenderTest, RenderedDefaultsParseBackToTheSame) {
  const std::string rendered = RenderSettings(Settings());
  Result<Settings> again = ParseSettings(rendered, "rendered");
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(RenderSettings(again.value()), rendered);
}

TEST(SettingsRenderTest, ChangedValuesSurvive) {
  Settings settings;
  settings.node.state_dir = "/a \"quoted\" \\ path";
  settings.node.require = {"cgroups", "worker_uids"};
  settings.node.log_level = LogLevel::kWarning;
  settings.node.stop_grace = Millis(61001);
  settings.http.min_rate = Bytes{0};
  settings.http.body_max = Bytes{1048577};
  settings.limits.worker.cpu_millis = 1005;
  settings.log.journal = true;
  Result<Settings> again = ParseSettings(RenderSettings(settings), "rendered");
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again.value().node.state_dir, settings.node.state_dir);
  EXPECT_EQ(again.value().node.require, settings.node.require);
  EXPECT_EQ(again.value().node.log_level, LogLevel::kWarning);
  EXPECT_EQ(again.value().node.stop_grace, Millis(61001));
  EXPECT_EQ(again.value().http.min_rate, Bytes{0});
  EXPECT_EQ(again.value().http.body_max, Bytes{1048577});
  EXPECT_EQ(again.value().limits.worker.cpu_millis, 1005U);
  EXPECT_TRUE(again.value().log.journal);
}

TEST(SettingsValidateTest, AddressesAreNumericWithAPort) {
  EXPECT_EQ(ParseAddress("[::1]:65535").value().port, 65535);
  EXPECT_EQ(ParseAddress("[::1]:65535").value().host, "::1");
  for (const char* bad : {"", ":80", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:8x", "::1:80",
                          "[::1]", "[1.2.3.4]:80", "[]:80", "1.2.3.4:-1"})
    EXPECT_FALSE(ParseAddress(bad).ok()) << bad;
}

TEST(SettingsParserTest, WhatIsNearIsKeptForAServerOfOurOwnOrWhereItIsSaid) {
  const auto near = [](std::string_view text) {
    return ParseSettings(text, "f").value().cache.near;
  };
  EXPECT_TRUE(near(""));
  EXPECT_FALSE(near("[cache]\nnear = false"));
  EXPECT_FALSE(near("[cache]\nurl = \"unix:///run/redis\""));
  EXPECT_TRUE(near("[cache]\nnear = true\nurl = \"unix:///run/redis\""));
}

}  // namespace
}  // namespace cloister
