#include "daemon/cli/config.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>

#include "apis/base/unique_fd.h"
#include "tests/daemon/cli/fake_node.h"
#include "tests/daemon/cli/written.h"

namespace cloister {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kList = R"({"app": "demo/hello", "in_force": 4, "version": 4, "values": [
    {"name": "GREETING", "value": "Good\nmorning", "secret": false,
     "set_at": "2026-11-27T10:00:00Z", "set_by": "root"},
    {"name": "TOKEN", "secret": true, "set_at": "2026-11-27T11:00:00Z", "set_by": "anna"}]})";

// Stdin, for as long as this lives.
class Stdin {
 public:
  explicit Stdin(std::string_view text) : before_(::dup(STDIN_FILENO)) {
    std::array<int, 2> ends = {-1, -1};
    EXPECT_EQ(::pipe(ends.data()), 0);
    EXPECT_EQ(::write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
    ::close(ends[1]);
    ::dup2(ends[0], STDIN_FILENO);
    ::close(ends[0]);
  }
  Stdin(const Stdin&) = delete;
  Stdin& operator=(const Stdin&) = delete;
  ~Stdin() { ::dup2(before_.get(), STDIN_FILENO); }

 private:
  UniqueFd before_;
};

// A command against a node that answers as `handler` does.
struct Ended {
  Attempt<void> done;
  std::string out;
  std::vector<std::string> seen;
  std::string body;  // of the last request that had one
};
using ConfigVerb = Attempt<void> (*)(AdminApi&, Console&, const ConfigWish&);

Ended RunVerb(ConfigVerb verb, const ConfigWish& wish, const FakeNode::Handler& handler,
              Console::Format format = Console::Format::kText) {
  std::string body;
  FakeNode node([&](const FakeRequest& request) {
    if (!request.body.empty())
      body = request.body;
    return handler(request);
  });
  AdminApi api(node.socket_path());
  Written out;
  Console console({.out = out.file(), .err = out.file(), .format = format});
  Attempt<void> done = verb(api, console, wish);
  return {.done = std::move(done), .out = out.text(), .seen = node.Seen(), .body = body};
}

std::string Answer(const FakeRequest& /*request*/) {
  return FakeNode::Json(200, R"({"version": 5, "changed": true, "release": null})");
}

TEST(ConfigCommandsTest, ValuesAreListedAndSecretsAreNot) {
  const Ended run = RunVerb(ListConfig, {.app = "demo/hello"},
                            [](const FakeRequest&) { return FakeNode::Json(200, kList); });
  EXPECT_TRUE(run.done.ok());
  EXPECT_THAT(run.seen, ElementsAre("GET /v1/tenants/demo/apps/hello/config"));
  EXPECT_EQ(run.out,
            "KEY       VALUE          SET AT                BY\n"
            "GREETING  Good\\nmorning  2026-11-27T10:00:00Z  root\n"
            "TOKEN     (secret)       2026-11-27T11:00:00Z  anna\n"
            "config 4 is in force\n");
}

TEST(ConfigCommandsTest, PairsAreOneChange) {
  const Ended run =
      RunVerb(SetConfig, {.app = "demo/hello", .words = {"A=1", "B=x=y", "C="}}, Answer);
  EXPECT_TRUE(run.done.ok());
  EXPECT_THAT(run.seen, ElementsAre("POST /v1/tenants/demo/apps/hello/config"));
  EXPECT_EQ(run.body, R"({"changes":[{"name":"A","value":"1"},{"name":"B","value":"x=y"},)"
                      R"({"name":"C","value":""}]})");
  EXPECT_EQ(run.out, "demo/hello: config 5 is in force\n");
}

TEST(ConfigCommandsTest, ASecretComesFromStdinWithoutItsNewline) {
  const Stdin input("hunter2\nhunter3\n");
  const Ended run = RunVerb(
      SetConfig, {.keys = ConfigKeys::kSecrets, .app = "demo/hello", .words = {"TOKEN"}}, Answer);
  EXPECT_TRUE(run.done.ok());
  EXPECT_THAT(run.seen, ElementsAre("POST /v1/tenants/demo/apps/hello/secrets"));
  EXPECT_EQ(run.body, R"({"changes":[{"name":"TOKEN","value":"hunter2\nhunter3"}]})");
  EXPECT_THAT(run.out, Not(HasSubstr("hunter")));
}

TEST(ConfigCommandsTest, ASecretIsNotTakenFromAnArgument) {
  const Stdin input("x");
  const Ended run = RunVerb(
      SetConfig, {.keys = ConfigKeys::kSecrets, .app = "demo/hello", .words = {"TOKEN=hunter2"}},
      Answer);
  ASSERT_FALSE(run.done.ok());
  EXPECT_EQ(run.done.error().exit, ExitCode::kUsage);
  EXPECT_THAT(run.done.error().what + run.done.error().advice, Not(HasSubstr("hunter2")));
  EXPECT_TRUE(run.seen.empty());
}

TEST(ConfigCommandsTest, AnEmptySecretIsAMistake) {
  const Stdin input("\n");
  const Ended run = RunVerb(
      SetConfig, {.keys = ConfigKeys::kSecrets, .app = "demo/hello", .words = {"TOKEN"}}, Answer);
  ASSERT_FALSE(run.done.ok());
  EXPECT_EQ(run.done.error().exit, ExitCode::kUsage);
}

TEST(ConfigCommandsTest, SeveralSecretsAreALineEachAndOneChange) {
  const ConfigWish wish = {
      .keys = ConfigKeys::kSecrets, .app = "demo/hello", .words = {"USER", "PASSWORD"}};
  for (const char* text : {"anna\nhunter2\n", "anna\nhunter2"}) {
    const Stdin input(text);
    const Ended run = RunVerb(SetConfig, wish, Answer);
    EXPECT_TRUE(run.done.ok());
    EXPECT_EQ(run.body, R"({"changes":[{"name":"USER","value":"anna"},)"
                        R"({"name":"PASSWORD","value":"hunter2"}]})");
  }
  for (const char* text : {"", "anna\n", "anna\n\n", "\nhunter2\n", "anna\nhunter2\nmore\n"}) {
    const Stdin input(text);
    const Ended run = RunVerb(SetConfig, wish, Answer);
    ASSERT_FALSE(run.done.ok()) << text;
    EXPECT_EQ(run.done.error().exit, ExitCode::kUsage) << text;
    EXPECT_TRUE(run.seen.empty()) << text;
  }
  const Stdin input("a\nb\n");
  const Ended twice = RunVerb(
      SetConfig, {.keys = ConfigKeys::kSecrets, .app = "demo/hello", .words = {"A", "A"}}, Answer);
  ASSERT_FALSE(twice.done.ok());
  EXPECT_EQ(twice.done.error().code, "config_invalid");
}

TEST(ConfigCommandsTest, AValueThatIsNoTextIsRefusedBeforeItIsSent) {
  for (const std::string& bad :
       {std::string("a\xff"), std::string("\xc3"), std::string("a\0b", 3)}) {
    const Ended plain =
        RunVerb(SetConfig, {.app = "demo/hello", .words = {"A=1", "B=" + bad}}, Answer);
    const Stdin input(bad);
    const Ended secret = RunVerb(
        SetConfig, {.keys = ConfigKeys::kSecrets, .app = "demo/hello", .words = {"B"}}, Answer);
    for (const Ended* run : {&plain, &secret}) {
      ASSERT_FALSE(run->done.ok());
      EXPECT_EQ(run->done.error().code, "config_invalid");
      EXPECT_EQ(run->done.error().exit, ExitCode::kUsage);
      EXPECT_THAT(run->done.error().what, HasSubstr("B: the value"));
      EXPECT_TRUE(run->seen.empty());
    }
  }
}

// A node whose walk ends with `state`.
FakeNode::Handler Walking(const std::string& state, const std::string& code = "app_raised") {
  return [state, code](const FakeRequest& request) {
    if (request.method == "POST")
      return FakeNode::Json(202, R"({"version": 5, "changed": true, "release":
          {"id": 7, "version": "1.0.0", "under_way": true, "steps": []}})");
    if (request.target.find("/releases/7") != std::string::npos)
      return FakeNode::Json(200, R"({"release": {"id": 7, "under_way": false, "state": "live",
          "steps": [{"sequence": 9, "name": "config booted", "outcome": "done",
                     "started_at": "2026-11-27T10:00:00.000000Z",
                     "ended_at": "2026-11-27T10:00:00.031000Z", "detail": ""}]}})");
    return FakeNode::Json(200, R"({"version": 5, "state": ")" + state + R"(", "report":
        {"code": ")" + code + R"(", "message": "boom", "file": "main.py", "line": 4,
         "traceback": "Traceback ...", "advice": "Look."}})");
  };
}

TEST(ConfigCommandsTest, AChangeIsFollowedToItsEnd) {
  const Ended run =
      RunVerb(SetConfig, {.app = "demo/hello", .words = {"A=1"}}, Walking("in_force"));
  EXPECT_TRUE(run.done.ok());
  EXPECT_THAT(run.out, HasSubstr("config booted ✓ 31 ms"));
  EXPECT_THAT(run.out, HasSubstr("demo/hello: config 5 is in force after"));
}

TEST(ConfigCommandsTest, AChangeThatFailsSaysWhereAndIsRefused) {
  const Ended run = RunVerb(SetConfig, {.app = "demo/hello", .words = {"A=1"}}, Walking("failed"));
  ASSERT_FALSE(run.done.ok());
  EXPECT_EQ(run.done.error().exit, ExitCode::kRefused);
  EXPECT_EQ(run.done.error().code, "app_raised");
  EXPECT_EQ(run.done.error().what, "main.py:4: boom");
  EXPECT_EQ(run.done.error().advice, "Look. The former config serves on.");
}

TEST(ConfigCommandsTest, WithoutTheNodesKeyTheFormerConfigIsNotSaidToServe) {
  const Ended run = RunVerb(SetConfig, {.app = "demo/hello", .words = {"A=1"}},
                            Walking("failed", "config_unreadable"));
  ASSERT_FALSE(run.done.ok());
  EXPECT_EQ(run.done.error().advice, "Look.");
}

TEST(ConfigCommandsTest, ARollbackSaysWhatItChanged) {
  const Ended run =
      RunVerb(RollbackConfig, {.app = "demo/hello"}, [](const FakeRequest& /*request*/) {
        return FakeNode::Json(200, R"({"version": 5, "changed": true, "release": null,
            "back": {"as_in": 3, "names": ["A", "B"], "gone": ["C"]}})");
      });
  EXPECT_EQ(run.out,
            "demo/hello: config 5 is in force\n"
            "  with the plain values of config 3; changed: A, B; gone: C; secrets stay as they "
            "were\n");
}

TEST(ConfigCommandsTest, ItNeedNotBeWaitedFor) {
  const Ended run = RunVerb(SetConfig, {.app = "demo/hello", .words = {"A=1"}, .no_wait = true},
                            Walking("in_force"), Console::Format::kJson);
  EXPECT_TRUE(run.done.ok());
  EXPECT_EQ(run.seen.size(), 1U);
  EXPECT_THAT(run.out, HasSubstr(R"("state":"wanted")"));
}

TEST(ConfigCommandsTest, ARollbackNamesAVersionOrNone) {
  EXPECT_EQ(RunVerb(RollbackConfig, {.app = "demo/hello", .version = "3"}, Answer).body,
            R"({"version":3})");
  EXPECT_EQ(RunVerb(RollbackConfig, {.app = "demo/hello"}, Answer).body, "{}");
  for (const char* bad : {"0", "x", "-1", "1.0"}) {
    const Ended run = RunVerb(RollbackConfig, {.app = "demo/hello", .version = bad}, Answer);
    ASSERT_FALSE(run.done.ok()) << bad;
    EXPECT_EQ(run.done.error().exit, ExitCode::kUsage) << bad;
  }
}

}  // namespace
}  // namespace cloister
