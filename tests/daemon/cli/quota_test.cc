#include "daemon/cli/quota.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/daemon/cli/fake_node.h"
#include "tests/daemon/cli/written.h"

namespace cloister {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kAnswer =
    R"({"app": "demo/hello", "quotas": [
        {"name": "limits.workers", "value": "4", "set_for": "tenant", "about": "Workers.",
         "limit": 4, "used": 3},
        {"name": "limits.requests", "value": "10", "set_for": "app", "about": "Requests.",
         "limit": 10, "used": 10, "refused": 7},
        {"name": "limits.wall", "value": "30s", "set_for": "node", "about": "Time.",
         "limit": 30000},
        {"name": "query.bytes", "value": "1GiB", "set_for": "node", "about": "Bytes.",
         "limit": 1073741824, "used": 5242880, "refused": 0}]})";

// What `show` writes of that answer.
std::string Shown(Console::Options options) {
  FakeNode node([](const FakeRequest&) { return FakeNode::Json(200, kAnswer); });
  AdminApi api(node.socket_path());
  Written out;
  options.out = out.file();
  options.err = out.file();
  Console console(options);
  EXPECT_TRUE(ShowQuota(api, console, "demo/hello").ok());
  EXPECT_THAT(node.Seen(), ElementsAre("GET /v1/tenants/demo/apps/hello/quota"));
  return out.text();
}

TEST(QuotaCommandsTest, AnAppsQuotasAreShownWithUseAndOwner) {
  EXPECT_EQ(Shown({}),
            "QUOTA            VALUE  USED          REFUSED  SET FOR         ABOUT\n"
            "limits.workers   4      75%           -        tenant demo     Workers.\n"
            "limits.requests  10     100%          7        app demo/hello  Requests.\n"
            "limits.wall      30s    -             -        node            Time.\n"
            "query.bytes      1GiB   0% (5.0 MiB)  0        node            Bytes.\n");
}

TEST(QuotaCommandsTest, ATerminalGetsBars) {
  const std::string shown = Shown({.out_terminal = true, .colours = true});
  EXPECT_THAT(shown, HasSubstr("████████░░"));
  EXPECT_THAT(shown, HasSubstr("██████████"));
  EXPECT_THAT(shown, HasSubstr("\x1b["));
  EXPECT_THAT(Shown({.out_terminal = true}), HasSubstr("████████░░ 75%"));
}

TEST(QuotaCommandsTest, OwnersAreTenantsAppsAndTheNode) {
  FakeNode node([](const FakeRequest&) { return FakeNode::Json(200, R"({"quotas": []})"); });
  AdminApi api(node.socket_path());
  Written out;
  Console console({.out = out.file(), .err = out.file()});
  EXPECT_TRUE(ShowQuota(api, console, "").ok());
  EXPECT_TRUE(ShowQuota(api, console, "demo").ok());
  EXPECT_TRUE(SetQuotas(api, console, "demo", {"log.rate=1MiB"}).ok());
  EXPECT_TRUE(UnsetQuotas(api, console, "demo/hello", {"log.rate"}).ok());
  EXPECT_THAT(node.Seen(),
              ElementsAre("GET /v1/quota", "GET /v1/tenants/demo/quota",
                          "POST /v1/tenants/demo/quota", "POST /v1/tenants/demo/apps/hello/quota"));
  const Attempt<void> wrong = ShowQuota(api, console, "../etc");
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().exit, ExitCode::kUsage);
}

TEST(QuotaCommandsTest, AnAppsNameWithoutItsTenantIsUnderstood) {
  FakeNode node([](const FakeRequest& request) {
    return request.target == "/v1/apps"
               ? FakeNode::Json(200, R"({"apps": [{"app": "demo/hello"}, {"app": "demo/llo"}]})")
               : FakeNode::Problem(404, "tenant_not_found", "there is no such tenant");
  });
  AdminApi api(node.socket_path());
  Written out;
  Console console({.out = out.file(), .err = out.file()});
  for (const Attempt<void>& done :
       {ShowQuota(api, console, "hello"), SetQuotas(api, console, "hello", {"log.rate=1MiB"})}) {
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().code, "tenant_not_found");
    EXPECT_EQ(done.error().advice, "did you mean demo/hello (an app)?");
  }
  const Attempt<void> other = ShowQuota(api, console, "nobody");
  ASSERT_FALSE(other.ok());
  EXPECT_THAT(other.error().advice, HasSubstr("tenants create"));
}

TEST(QuotaCommandsTest, AQuotaIsSetOnce) {
  FakeNode node([](const FakeRequest&) { return FakeNode::Json(200, R"({"quotas": []})"); });
  AdminApi api(node.socket_path());
  Written out;
  Console console({.out = out.file(), .err = out.file()});
  const Attempt<void> done =
      SetQuotas(api, console, "demo", {"log.rate=1MiB", "limits.workers=2", "log.rate=2MiB"});
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().exit, ExitCode::kUsage);
  EXPECT_EQ(done.error().what, "'log.rate' is there twice");
  EXPECT_THAT(node.Seen(), ElementsAre());
}

TEST(QuotaCommandsTest, WhatIsNoChangeIsWrongUsageAndNothingIsAsked) {
  FakeNode node([](const FakeRequest&) { return FakeNode::Json(200, R"({"quotas": []})"); });
  AdminApi api(node.socket_path());
  Written out;
  Console console({.out = out.file(), .err = out.file()});
  for (const char* word : {"limits.workers", "=3", "limits.workers=", "="}) {
    const Attempt<void> done = SetQuotas(api, console, "demo", {"log.rate=1MiB", word});
    ASSERT_FALSE(done.ok()) << word;
    EXPECT_EQ(done.error().exit, ExitCode::kUsage);
    EXPECT_THAT(done.error().what, HasSubstr("NAME=VALUE"));
  }
  EXPECT_THAT(node.Seen(), ElementsAre());
}

}  // namespace
}  // namespace cloister
