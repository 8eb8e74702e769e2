#include "daemon/cli/api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/daemon/cli/fake_node.h"

namespace cloister {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;

// The exit codes of the node's own table of problems.
constexpr ExitCode kFailed = ExitCode::kFailed;
constexpr ExitCode kUsage = ExitCode::kUsage;
constexpr ExitCode kRefused = ExitCode::kRefused;

TEST(AdminApiTest, ExitCodesAreThoseOfTheNodesTable) {
#define PROBLEM(name, code, status, exit_class, sentence) \
  EXPECT_EQ(ExitCodeOf(code), exit_class) << (code);
#include "daemon/releases/problems.def"
#undef PROBLEM
}

Failure FailureFor(const std::string& answer) {
  FakeNode node([&answer](const FakeRequest&) { return answer; });
  AdminApi api(node.socket_path());
  Attempt<Json> got = api.Get("/x");
  EXPECT_FALSE(got.ok());
  return got.ok() ? Failure{} : std::move(got).error();
}

TEST(AdminApiTest, AProblemBecomesAFailure) {
  const Failure one = FailureFor(FakeNode::Problem(404, "tenant_not_found", "no tenant 'x'"));
  EXPECT_EQ(one.code, "tenant_not_found");
  EXPECT_EQ(one.what, "no tenant 'x'");
  EXPECT_THAT(one.advice, HasSubstr("cloister tenants create"));
  const Failure lines =
      FailureFor(FakeNode::Problem(422, "manifest_invalid", "f:1: bad\\nf:2: worse"));
  EXPECT_EQ(lines.exit, ExitCode::kRefused);
  EXPECT_EQ(lines.what, "A title");
  EXPECT_EQ(lines.detail, "f:1: bad\nf:2: worse\n");
  const Failure listed = FailureFor(FakeNode::Json(
      409, R"({"code":"version_taken","title":"T","detail":"d","files":["a.py","b.py"]})"));
  EXPECT_EQ(listed.detail, "a.py\nb.py\n");
}

TEST(AdminApiTest, WhatToDoIsSaidOnceAndAsHelp) {
  const Failure lower = FailureFor(FakeNode::Problem(
      409, "version_lower", "1.0.0 is lower than 1.2.0, which is live; raise it"));
  EXPECT_EQ(lower.what, "1.0.0 is lower than 1.2.0, which is live");
  EXPECT_EQ(lower.advice, "raise it");
  // The node's is the more exact one, when it names a command.
  const Failure none = FailureFor(FakeNode::Problem(
      404, "release_not_found", "demo/a has no release 2; `cloister releases demo/a` lists them"));
  EXPECT_EQ(none.what, "demo/a has no release 2");
  EXPECT_EQ(none.advice, "`cloister releases demo/a` lists them");
  const Failure there = FailureFor(FakeNode::Problem(409, "tenant_exists", "it exists already"));
  EXPECT_EQ(there.advice, "`cloister tenants list` shows them");
}

TEST(AdminApiTest, OddAnswersAreFailures) {
  EXPECT_EQ(FailureFor(FakeNode::Json(500, "<html>")).code, "bad_answer");
  EXPECT_EQ(FailureFor(FakeNode::Json(500, "[1]")).code, "bad_answer");
  EXPECT_EQ(FailureFor(FakeNode::Json(200, "{")).code, "bad_answer");
  EXPECT_EQ(FailureFor("SSH-2.0\r\n\r\n").code, "bad_answer");
  EXPECT_EQ(FailureFor("").code, "node_unreachable");
}

TEST(AdminApiTest, NoNodeSaysHowToStartOne) {
  const FakeFolder folder;
  AdminApi api(folder.path() + "/admin.sock");
  const Attempt<Json> got = api.Get("/x");
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, "node_unreachable");
  EXPECT_THAT(got.error().what, HasSubstr("no node runs here"));
  EXPECT_THAT(got.error().advice, HasSubstr("cloisterd --config"));
}

TEST(AdminApiTest, ReadersTrustNoShape) {
  const Json object = Json::parse(
      R"({"text":"t","number":7,"negative":-1,"float":2.5,"list":[1],"object":{"a":1}})");
  EXPECT_EQ(TextOf(object, "text"), "t");
  EXPECT_EQ(TextOf(object, "number"), "");
  EXPECT_EQ(TextOf(Json::array(), "text"), "");
  EXPECT_EQ(NumberOf(object, "number"), 7U);
  EXPECT_EQ(NumberOf(object, "negative"), 0U);
  EXPECT_EQ(NumberOf(object, "float"), 2U);
  EXPECT_EQ(NumberOf(object, "text"), 0U);
  EXPECT_EQ(ListOf(object, "list").size(), 1U);
  EXPECT_TRUE(ListOf(object, "object").empty());
  EXPECT_TRUE(ObjectOf(object, "object").is_object());
  EXPECT_TRUE(ObjectOf(object, "list").is_null());
}

}  // namespace
}  // namespace cloister
