#include "daemon/cli/logs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "daemon/cli/api.h"
#include "tests/daemon/cli/fake_node.h"
#include "tests/daemon/cli/written.h"

namespace cloister {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;

Json Event(int sequence, const std::string& text, const std::string& release = "1.0.0") {
  return {{"sequence", sequence}, {"time", "T" + std::to_string(sequence)},
          {"release", release},   {"source", "stdout"},
          {"level", ""},          {"logger", ""},
          {"request_id", "R1"},   {"text", text}};
}

// Serves the events of one log, two a page, filtered by release and request as the node does.
class FakeLog {
 public:
  explicit FakeLog(std::vector<Json> events)
      : events_(std::move(events)),
        node_([this](const FakeRequest& request) { return Answer(request.target); }) {}

  FakeNode& node() { return node_; }

 private:
  static std::string Text(const std::string& target, const std::string& name) {
    const std::size_t at = target.find(name + "=");
    return at == std::string::npos
               ? ""
               : target.substr(at + name.size() + 1, target.find('&', at) - at - name.size() - 1);
  }
  static std::uint64_t Parameter(const std::string& target, const std::string& name) {
    const std::string text = Text(target, name);
    return text.empty() ? 0 : std::stoull(text);
  }
  static bool Matches(const std::string& target, const Json& event) {
    const std::string release = Text(target, "release");
    const std::string request = Text(target, "request");
    return (release.empty() || event["release"] == release) &&
           (request.empty() || event["request_id"] == request);
  }
  // Behind which event the last `tail` that match begin.
  std::uint64_t StartOfTail(const std::string& target, std::uint64_t tail) const {
    std::uint64_t after = events_.size();
    for (; tail > 0 && after > 0; --after)
      tail -= Matches(target, events_[after - 1]) ? 1U : 0U;
    return after;
  }

  std::string Answer(const std::string& target) {
    std::uint64_t after = Parameter(target, "after");
    // There is nothing to wait for: a follower ends here.
    if (Parameter(target, "wait_ms") > 0 && after >= events_.size())
      return FakeNode::Problem(404, "app_not_found", "the app is gone");
    if (target.find("tail=") != std::string::npos)
      after = StartOfTail(target, Parameter(target, "tail"));
    Json page = Json::array();
    for (; page.size() < 2 && after < events_.size(); ++after)
      if (Matches(target, events_[after]))
        page.push_back(events_[after]);
    return FakeNode::Json(200, Json{{"events", page}, {"next", after}, {"lost", 0}}.dump());
  }

  std::vector<Json> events_;
  FakeNode node_;
};

std::string Show(FakeLog& log, LogOptions options, Console::Format format) {
  Written out;
  Console console({.out = out.file(), .format = format});
  AdminApi api(log.node().socket_path());
  options.app = "demo/hello";
  const Attempt<void> done = ShowLogs(api, console, options);
  return out.text() + (done.ok() ? "" : "[" + done.error().code + "]");
}

constexpr auto kText = Console::Format::kText;
constexpr auto kJson = Console::Format::kJson;

TEST(LogsTest, AllEventsForPeople) {
  FakeLog log({Event(1, "one\n"), Event(2, "two"), Event(3, "a\nb\x1b[2J\n")});
  EXPECT_EQ(Show(log, {}, kText),
            "T1 1.0.0 stdout R1  one\nT2 1.0.0 stdout R1  two\nT3 1.0.0 stdout R1  a\n"
            "    b\\x1b[2J\n");
}

TEST(LogsTest, ALevelIsANameOrANumber) {
  Json named = Event(1, "x");
  named["level"] = "warning";
  named["logger"] = "shop";
  Json numbered = Event(2, "y");
  numbered["level"] = 40;
  Json forged = Event(3, "z");
  forged["logger"] = "a\nT4 1.0.0 runtime";
  FakeLog log({named, numbered, forged});
  EXPECT_EQ(Show(log, {}, kText),
            "T1 1.0.0 stdout warning shop R1  x\nT2 1.0.0 stdout error R1  y\n"
            "T3 1.0.0 stdout \"a\\nT4 1.0.0 runtime\" R1  z\n");
}

TEST(LogsTest, BytesThatAreNoText) {
  Json event = Event(1, "");
  event.erase("text");
  event["base64"] = "aP8KAA==";
  FakeLog log(std::vector<Json>{event});
  EXPECT_EQ(Show(log, {}, kText), "T1 1.0.0 stdout R1  h\\xff\n    \\x00\n");
}

TEST(LogsTest, WhatIsLostIsSaidWhereItIsMissing) {
  Json event = Event(2, "two");
  event["lost"] = 7;
  event["cut"] = true;
  FakeLog log({Event(1, "one"), event});
  EXPECT_EQ(Show(log, {}, kText),
            "T1 1.0.0 stdout R1  one\n-- 7 events were lost: over the log's rate --\n"
            "T2 1.0.0 stdout R1  two [cut]\n");
}

// The node's own event about a loss says how much: nothing is said twice.
TEST(LogsTest, ALossIsSaidOnce) {
  Json mark = Event(2, "7 events were lost here: more came than the log takes");
  mark["source"] = "runtime";
  mark["release"] = "";
  mark["request_id"] = "";
  mark["level"] = "warning";
  mark["lost"] = 7;
  FakeLog log({Event(1, "one"), mark});
  EXPECT_EQ(Show(log, {}, kText),
            "T1 1.0.0 stdout R1  one\n"
            "T2  runtime warning  7 events were lost here: more came than the log takes\n");
}

TEST(LogsTest, FieldsStandBehindTheFirstLine) {
  Json event = Event(1, "sold\nmore\n");
  event["fields"] = {
      {"user", 3},           {"paid", true}, {"coupon", nullptr},  {"name", "gr\xc3\xbc"},
      {"text", "two words"}, {"empty", ""},  {"a b", "x=\"y\"\n"}, {"ratio", 0.5},
      {"evil", "\x1b[2J"}};
  FakeLog log(std::vector<Json>{event});
  EXPECT_EQ(Show(log, {}, kText),
            "T1 1.0.0 stdout R1  sold \"a b\"=\"x=\\\"y\\\"\\n\" coupon=null empty=\"\" "
            "evil=\"\\u001b[2J\" name=gr\xc3\xbc paid=true ratio=0.5 text=\"two words\" user=3\n"
            "    more\n");
}

TEST(LogsTest, ATracebackThatIsInTheTextIsNotRepeated) {
  Json event = Event(1, "failed\nTraceback: x");
  event["fields"] = {{"exc_info", "Traceback: x"}, {"stack_info", "...Traceback: x"}, {"user", 3}};
  Json other = Event(2, "failed");
  other["fields"] = {{"exc_info", "Traceback: x"}};
  FakeLog log({event, other});
  EXPECT_EQ(Show(log, {}, kText),
            "T1 1.0.0 stdout R1  failed user=3\n    Traceback: x\n"
            "T2 1.0.0 stdout R1  failed exc_info=\"Traceback: x\"\n");
}

TEST(LogsTest, WhatACheckSaidIsMarked) {
  Json event = Event(1, "one");
  event["check"] = true;
  FakeLog log(std::vector<Json>{event});
  EXPECT_EQ(Show(log, {}, kText), "T1 1.0.0 [check] stdout R1  one\n");
}

TEST(LogsTest, TheNodeFiltersEachPage) {
  FakeLog log({Event(1, "one"), Event(2, "two"), Event(3, "three")});
  Show(log,
       {.since = WallTime(Seconds(1'795'255'503)),
        .level = "warning",
        .release = "1.0.0",
        .request_id = "a b&c"},
       kText);
  const std::string filter =
      "GET /v1/tenants/demo/apps/hello/logs?since=2026-11-21T10%3A05%3A03.000000Z&level=warning&"
      "release=1.0.0&request=a%20b%26c&after=";
  std::size_t pages = 0;
  for (const std::string& seen : log.node().Seen())
    pages += seen.starts_with(filter) ? 1U : 0U;
  EXPECT_GE(pages, 1U);
}

TEST(LogsTest, OneJsonObject) {
  FakeLog log({Event(1, "one"), Event(2, "two"), Event(3, "three")});
  const Json shown = Json::parse(Show(log, {}, kJson));
  EXPECT_EQ(shown["events"].size(), 3U);
  EXPECT_EQ(shown["next"], 3);
  EXPECT_EQ(shown["lost"], 0);
}

TEST(LogsTest, OnlyTheLastOnes) {
  FakeLog log({Event(1, "one"), Event(2, "two"), Event(3, "three")});
  EXPECT_EQ(Show(log, {.tail = 1}, kText), "T3 1.0.0 stdout R1  three\n");
  EXPECT_EQ(Show(log, {.tail = 0}, kText), "");
  EXPECT_EQ(Json::parse(Show(log, {.tail = 1000}, kJson))["events"].size(), 3U);
}

TEST(LogsTest, OnlyOneReleaseOrRequest) {
  FakeLog log({Event(1, "one", "1"), Event(2, "two", "2"), Event(3, "three", "1")});
  EXPECT_EQ(Show(log, {.release = "2"}, kText), "T2 2 stdout R1  two\n");
  EXPECT_EQ(Show(log, {.tail = 1, .release = "1"}, kText), "T3 1 stdout R1  three\n");
  EXPECT_EQ(Show(log, {.request_id = "R2"}, kText), "");
}

TEST(LogsTest, FollowingGoesOnFromTheLast) {
  FakeLog log({Event(1, "one"), Event(2, "two"), Event(3, "three")});
  const LogOptions follow{.tail = 0, .follow = LogOptions::Follow::kYes};
  EXPECT_EQ(Show(log, follow, kText), "[app_not_found]");
  const std::string shown = Show(log, {.follow = LogOptions::Follow::kYes}, kJson);
  EXPECT_THAT(shown, HasSubstr("\"time\":\"T1\"}\n{"));
  EXPECT_THAT(shown, testing::EndsWith("\"time\":\"T3\"}\n[app_not_found]"));
}

TEST(LogsTest, Base64) {
  EXPECT_EQ(DecodeBase64(""), "");
  EXPECT_EQ(DecodeBase64("Zg=="), "f");
  EXPECT_EQ(DecodeBase64("Zm8="), "fo");
  EXPECT_EQ(DecodeBase64("Zm9v"), "foo");
  EXPECT_EQ(DecodeBase64("+/8="), "\xfb\xff");
  EXPECT_EQ(DecodeBase64("Zm9v!Zm9v"), "foo");
}

}  // namespace
}  // namespace cloister
