#include "daemon/cli/commands.h"

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
using ::testing::Not;

constexpr const char* kDeleted =
    R"({"app": "demo/shop", "live": "1.0.0", "releases": 2, "objects": 1, "object_bytes": 2048,
        "database_bytes": 8192, "config_keys": 3})";

TEST(CommandsTest, WhatGoesWithAnAppIsSaid) {
  FakeNode node([](const FakeRequest&) { return FakeNode::Json(200, kDeleted); });
  AdminApi api(node.socket_path());
  Written out;
  Console console({.out = out.file(), .err = out.file()});
  ASSERT_TRUE(DeleteApp(api, console, "demo/shop", Deletion::kWithContents).ok());
  EXPECT_EQ(out.text(),
            "deleted the app demo/shop with 2 releases, 1 object (2.0 KiB), its database (8.0 "
            "KiB), its config (3 keys) and its log\n");
  EXPECT_THAT(node.Seen(), ElementsAre("DELETE /v1/tenants/demo/apps/shop?force=1"));
}

TEST(CommandsTest, ADatabaseOnAServerGoesAlong) {
  FakeNode node([](const FakeRequest&) {
    return FakeNode::Json(200, R"({"app": "demo/shop", "releases": 1, "database_bytes": 16384,
                                   "database_tables": 2})");
  });
  AdminApi api(node.socket_path());
  Written out;
  Console console({.out = out.file(), .err = out.file()});
  ASSERT_TRUE(DeleteApp(api, console, "demo/shop", Deletion::kWithContents).ok());
  EXPECT_EQ(out.text(),
            "deleted the app demo/shop with 1 release, its database (2 tables) and its log\n");
}

TEST(CommandsTest, AnAppThatHoldsThingsStaysWithoutForce) {
  FakeNode node([](const FakeRequest&) {
    return FakeNode::Json(409, R"({"code": "app_not_empty", "title": "T", "detail":
        "demo/shop has what would be lost with it:", "has": ["the live release 1.0.0"]})");
  });
  AdminApi api(node.socket_path());
  Written out;
  Console console({.out = out.file(), .err = out.file()});
  const Attempt<void> done = DeleteApp(api, console, "demo/shop", Deletion::kOnlyEmpty);
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().exit, ExitCode::kRefused);
  EXPECT_EQ(done.error().detail, "the live release 1.0.0\n");
  EXPECT_THAT(done.error().advice, HasSubstr("--force"));
  EXPECT_THAT(node.Seen(), ElementsAre("DELETE /v1/tenants/demo/apps/shop"));
}

TEST(CommandsTest, ATenantThatIsGoneIsNamedInJson) {
  FakeNode node([](const FakeRequest&) { return FakeNode::Json(204, ""); });
  AdminApi api(node.socket_path());
  Written out;
  Console console({.out = out.file(), .err = out.file(), .format = Console::Format::kJson});
  ASSERT_TRUE(DeleteTenant(api, console, "demo", Deletion::kOnlyEmpty).ok());
  EXPECT_EQ(Json::parse(out.text()), Json::parse(R"({"deleted": "demo"})"));
}

TEST(CommandsTest, WhyAReleaseWasRejectedStandsInTheList) {
  Json rejected = {{"version", "1.1.0"}, {"state", "rejected"}, {"id", 2}};
  rejected["report"] = {{"code", "syntax_error"},
                        {"message", "SyntaxError: invalid syntax\nmore"},
                        {"file", "app.py"},
                        {"line", 3}};
  const Json live = {{"version", "1.0.0"}, {"state", "live"}, {"id", 1}, {"report", nullptr}};
  const auto listed = [](const Json& releases) {
    FakeNode node([&](const FakeRequest&) {
      return FakeNode::Json(200, Json{{"releases", releases}}.dump());
    });
    AdminApi api(node.socket_path());
    Written out;
    Console console({.out = out.file(), .err = out.file()});
    EXPECT_TRUE(ListReleases(api, console, "demo/shop", ReleaseList::kThere).ok());
    return out.text();
  };
  const std::string text = listed({rejected, live});
  EXPECT_THAT(text, HasSubstr("syntax_error: app.py:3: SyntaxError: invalid syntax\n"));
  EXPECT_THAT(text, HasSubstr("cloister releases demo/shop --json"));
  EXPECT_THAT(listed({live}), Not(HasSubstr("WHY")));
}

}  // namespace
}  // namespace cloister
