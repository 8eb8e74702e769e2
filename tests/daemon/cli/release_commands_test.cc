#include "daemon/cli/release_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/daemon/cli/fake_node.h"
#include "tests/daemon/cli/written.h"

namespace cloister {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Compared(const VersionPair& versions, Console::Format format = Console::Format::kText) {
  Written out;
  Console console({.out = out.file(), .err = out.file(), .format = format});
  const Attempt<void> done = CompareVersions(console, versions);
  EXPECT_TRUE(done.ok());
  return out.text();
}

TEST(ReleaseCommandsTest, VersionsAreComparedAsTheNodeDoes) {
  EXPECT_EQ(Compared({"1.0.0-rc.1", "1.0.0"}), "1.0.0-rc.1 < 1.0.0\n");
  EXPECT_EQ(Compared({"7", "7.0.0"}), "7 = 7.0.0\n");
  EXPECT_EQ(Compared({"201105261325", "201105261324"}), "201105261325 > 201105261324\n");
}

TEST(ReleaseCommandsTest, ComparedVersionsAsJson) {
  const auto order = [](const std::string& a, const std::string& b) {
    return Json::parse(Compared({a, b}, Console::Format::kJson));
  };
  EXPECT_EQ(order("1.0.0", "1.0.1"), Json::parse(R"({"a": "1.0.0", "b": "1.0.1", "order": -1})"));
  EXPECT_EQ(order("7", "7.0.0")["order"], 0);
  EXPECT_EQ(order("2", "1")["order"], 1);
}

TEST(ReleaseCommandsTest, WhatIsNoVersionIsWrongUsageWithTheReason) {
  Written out;
  Console console({.out = out.file(), .err = out.file()});
  for (const VersionPair& pair : {VersionPair{"1.2", "1.0.0"}, VersionPair{"1.0.0", "1.2"}}) {
    const Attempt<void> done = CompareVersions(console, pair);
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().exit, ExitCode::kUsage);
    EXPECT_EQ(done.error().code, "version_invalid");
    EXPECT_THAT(done.error().what, HasSubstr("'1.2' is no version: write MAJOR.MINOR.PATCH"));
  }
  EXPECT_EQ(out.text(), "");
}

TEST(ReleaseCommandsTest, PinsAreSetAndTakenOff) {
  FakeNode node([](const FakeRequest&) { return FakeNode::Json(204, ""); });
  AdminApi api(node.socket_path());
  Written out;
  Console console({.out = out.file(), .err = out.file()});
  EXPECT_TRUE(PinRelease(api, console, {"demo/hello", "1.0.0", PinMode::kPin}).ok());
  EXPECT_TRUE(PinRelease(api, console, {"demo/hello", "1.0.0", PinMode::kUnpin}).ok());
  EXPECT_EQ(out.text(), "pinned demo/hello@1.0.0\nunpinned demo/hello@1.0.0\n");
  Written json;
  Console as_json({.out = json.file(), .err = out.file(), .format = Console::Format::kJson});
  EXPECT_TRUE(PinRelease(api, as_json, {"demo/hello", "1.0.0", PinMode::kPin}).ok());
  EXPECT_EQ(Json::parse(json.text()),
            Json::parse(R"({"app": "demo/hello", "version": "1.0.0", "pinned": true})"));
  const Attempt<void> wrong = PinRelease(api, console, {"demo/hello", "../x", PinMode::kPin});
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().code, "version_invalid");
  EXPECT_THAT(node.Seen(), ElementsAre("POST /v1/tenants/demo/apps/hello/pins/1.0.0",
                                       "DELETE /v1/tenants/demo/apps/hello/pins/1.0.0",
                                       "POST /v1/tenants/demo/apps/hello/pins/1.0.0"));
}

constexpr const char* kDamaged =
    R"({"apps": 1, "releases": 2, "files": 6, "damaged_releases": 1, "damages": 2, "found": [
        {"app": "demo/hello", "version": "1.0.0", "release": 7, "file": "a.py", "what": "bad\u001b"},
        {"app": "demo/hello", "version": "1.0.0", "release": 7, "file": null, "what": "worse"}]})";

TEST(ReleaseCommandsTest, DamageIsListedAndExitsWithOne) {
  FakeNode node([](const FakeRequest&) { return FakeNode::Json(200, kDamaged); });
  AdminApi api(node.socket_path());
  Written out;
  Console console({.out = out.file(), .err = out.file()});
  const Attempt<void> done = VerifyStore(api, console, "demo/hello");
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().exit, ExitCode::kFailed);
  EXPECT_EQ(done.error().code, "integrity_error");
  EXPECT_EQ(done.error().what, "1 of 2 releases are damaged");
  EXPECT_THAT(out.text(), HasSubstr("a.py"));
  EXPECT_THAT(out.text(), HasSubstr("bad\\x1b"));
  EXPECT_THAT(out.text(), HasSubstr("worse"));
}

TEST(ReleaseCommandsTest, SecretsThatDoNotOpenAreNoDamageOfReleases) {
  FakeNode node([](const FakeRequest&) {
    return FakeNode::Json(
        200, R"({"apps": 1, "releases": 2, "files": 6, "damaged_releases": 0, "damages": 1,
                 "secrets": 3, "sealed": 1, "found": [{"app": "demo/hello", "version": "config 4",
                 "release": null, "file": null, "what": "the secret A does not open"}]})");
  });
  AdminApi api(node.socket_path());
  Written out;
  Console console({.out = out.file(), .err = out.file()});
  const Attempt<void> done = VerifyStore(api, console, "");
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().exit, ExitCode::kFailed);
  EXPECT_EQ(done.error().code, "config_unreadable");
  EXPECT_EQ(done.error().what, "1 of 3 secrets do not open");
  EXPECT_THAT(out.text(), HasSubstr("the secret A does not open"));
}

TEST(ReleaseCommandsTest, DamageAsJsonIsOneObject) {
  FakeNode node([](const FakeRequest&) { return FakeNode::Json(200, kDamaged); });
  AdminApi api(node.socket_path());
  Written out;
  Console console({.out = out.file(), .err = out.file(), .format = Console::Format::kJson});
  const Attempt<void> done = VerifyStore(api, console, "");
  ASSERT_FALSE(done.ok());
  console.Show(done.error());
  EXPECT_EQ(Json::parse(out.text()), Json::parse(kDamaged));
}

TEST(ReleaseCommandsTest, AKeyOfDatabasesThatIsMissingIsSaid) {
  FakeNode node([](const FakeRequest&) {
    return FakeNode::Json(200, R"({"apps": 1, "releases": 2, "damages": 0, "object_damages": 0,
                                   "query_key": "query.key is not there"})");
  });
  AdminApi api(node.socket_path());
  Written out;
  Console console({.out = out.file(), .err = out.file()});
  const Attempt<void> done = VerifyStore(api, console, "");
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().exit, ExitCode::kFailed);
  EXPECT_EQ(done.error().code, "query_key_missing");
  EXPECT_EQ(done.error().detail, "query.key is not there");
}

TEST(ReleaseCommandsTest, WhatIsSoundIsSaidWithItsCounts) {
  FakeNode node([](const FakeRequest&) {
    return FakeNode::Json(200,
                          R"({"apps": 1, "releases": 2, "files": 6, "secrets": 3, "damages": 0})");
  });
  AdminApi api(node.socket_path());
  Written out;
  Console console({.out = out.file(), .err = out.file()});
  EXPECT_TRUE(VerifyStore(api, console, "demo/hello").ok());
  EXPECT_THAT(node.Seen(), ElementsAre("GET /v1/verify?app=demo/hello"));
  EXPECT_EQ(out.text(),
            "1 app, 2 releases, 6 files, 3 secrets, 0 objects: all as they were received\n");
}

}  // namespace
}  // namespace cloister
