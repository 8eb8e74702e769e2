#include "daemon/cli/deploy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>

#include <nlohmann/json.hpp>

#include "daemon/cli/api.h"
#include "tests/daemon/cli/fake_node.h"
#include "tests/daemon/cli/written.h"

namespace cloister {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;

constexpr const char* kApp = "/v1/tenants/demo/apps/hello";

Json Step(int sequence, const char* name, const char* outcome) {
  return {{"sequence", sequence},
          {"name", name},
          {"outcome", outcome},
          {"started_at", "2026-11-21T10:00:00.001000Z"},
          {"ended_at", "2026-11-21T10:00:00.004100Z"},
          {"detail", ""}};
}

// A node that knows one tenant and takes contents; what becomes of a release is up to the test.
class FakeAdmin {
 public:
  explicit FakeAdmin(std::vector<Json> releases)
      : releases_(std::move(releases)),
        node_([this](const FakeRequest& request) { return Answer(request); }) {}

  // Closes the connection instead of answering these batches, counted from 1.
  void BreakBatches(std::set<int> numbers) { broken_batches_ = std::move(numbers); }
  void RemoveApp() { has_app_ = false; }
  void AddTenant(const std::string& name) { tenants_.push_back({{"name", name}}); }

  FakeNode& node() { return node_; }
  std::set<std::string> contents() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return contents_;
  }
  Json sent_release() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return sent_release_;
  }
  int batches() const { return batches_; }

 private:
  std::string Answer(const FakeRequest& request) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const std::string call =
        request.method + " " + request.target.substr(0, request.target.find('?'));
    if (call == "GET /v1/tenants")
      return FakeNode::Json(200, Json{{"tenants", tenants_}}.dump());
    if (call == std::string("GET ") + kApp)
      return has_app_ ? FakeNode::Json(200, "{}")
                      : FakeNode::Problem(404, "app_not_found", "no app 'hello'");
    if (call == "POST /v1/tenants/demo/apps") {
      has_app_ = true;
      return FakeNode::Json(201, "{}");
    }
    if (call == "POST /v1/tenants/demo/contents/missing")
      return FakeNode::Json(200, Missing(Json::parse(request.body)).dump());
    if (call == "POST /v1/tenants/demo/contents")
      return Store(request.body);
    if (call == std::string("POST ") + kApp + "/releases") {
      sent_release_ = Json::parse(request.body);
      return FakeNode::Json(202, Json{{"release", NextRelease()}}.dump());
    }
    if (call == std::string("GET ") + kApp + "/releases/7")
      return FakeNode::Json(200, Json{{"release", NextRelease()}}.dump());
    return FakeNode::Problem(404, "tenant_not_found", "no such tenant");
  }

  Json Missing(const Json& asked) {
    Json missing = Json::array();
    for (const Json& file : asked["files"])
      if (!contents_.contains(file["sha256"].get<std::string>()))
        missing.push_back(file["sha256"]);
    return {{"missing", missing}};
  }

  std::string Store(std::string_view batch) {
    if (broken_batches_.contains(++batches_))
      return "";
    int stored = 0;
    while (!batch.empty()) {
      const Sha256 sha256 = Sha256::FromBytes(batch.substr(0, 32)).value_or(Sha256{});
      std::uint64_t size = 0;
      for (unsigned i = 0; i < 8; ++i)
        size |= std::uint64_t{static_cast<unsigned char>(batch[32 + i])} << (8 * i);
      EXPECT_EQ(Sha256Of(batch.substr(40, size)), sha256);
      contents_.insert(sha256.Hex());
      batch.remove_prefix(40 + size);
      ++stored;
    }
    return FakeNode::Json(200, Json{{"stored", stored}}.dump());
  }

  Json NextRelease() {
    Json release = releases_.front();
    if (releases_.size() > 1)
      releases_.erase(releases_.begin());
    return release;
  }

  std::mutex mutex_;
  std::set<std::string> contents_;
  std::vector<Json> releases_;
  Json sent_release_;
  Json tenants_ = Json::array({{{"name", "demo"}}});
  bool has_app_ = true;
  std::atomic<int> batches_ = 0;
  std::set<int> broken_batches_;
  FakeNode node_;
};

std::vector<Json> GoesLive() {
  const Json live = {{"id", 7},
                     {"version", "1.2.0"},
                     {"state", "live"},
                     {"url", "http://hello.demo.localhost:8080/"},
                     {"steps", {Step(1, "received", "done"), Step(2, "live", "done")}}};
  return {{{"id", 7},
           {"state", "received"},
           {"under_way", true},
           {"steps", {Step(1, "received", "running")}}},
          {{"id", 7},
           {"state", "received"},
           {"under_way", true},
           {"steps", {Step(1, "received", "done")}}},
          live};
}

class DeployTest : public testing::Test {
 protected:
  DeployTest() {
    folder_.Write("cloister.toml",
                  "[app]\nname = \"hello\"\nversion = \"1.2.0\"\n[entry]\nweb = \"app:a\"\n");
    folder_.Write("app.py", "a = 1\n");
    folder_.Write("copy.py", "a = 1\n");
  }

  Attempt<void> Run(FakeAdmin& admin, Console::Format format = Console::Format::kText) {
    Console console({.out = out_.file(), .err = err_.file(), .format = format});
    AdminApi api(admin.node().socket_path());
    options_.folder = folder_.path();
    return Deploy(api, console, options_);
  }

  FakeFolder folder_;
  DeployOptions options_;
  Written out_;
  Written err_;
};

TEST_F(DeployTest, GoesLive) {
  FakeAdmin admin(GoesLive());
  Attempt<void> done = Run(admin);
  ASSERT_TRUE(done.ok()) << done.error().what;
  EXPECT_EQ(admin.contents().size(), 2U);
  const Json sent = admin.sent_release();
  EXPECT_EQ(sent["allow_downgrade"], false);
  ASSERT_EQ(sent["files"].size(), 3U);
  EXPECT_EQ(sent["files"][0],
            (Json{{"path", "app.py"}, {"size", 6}, {"sha256", Sha256Of("a = 1\n").Hex()}}));
  const std::string out = out_.text();
  EXPECT_THAT(out, HasSubstr("demo/hello 1.2.0\n  bundle    3 files\n  upload    2 of 2 contents"));
  EXPECT_THAT(out, HasSubstr("\n  received  ✓ 3 ms\n  live      ✓ 3 ms\ndemo/hello 1.2.0 is live"));
  EXPECT_THAT(out, HasSubstr(": http://hello.demo.localhost:8080/\n"));
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 6);
}

TEST_F(DeployTest, SendsNothingThatIsThere) {
  FakeAdmin first(GoesLive());
  ASSERT_TRUE(Run(first).ok());
  const int batches = first.batches();
  ASSERT_TRUE(Run(first).ok());
  EXPECT_EQ(first.batches(), batches);
  EXPECT_THAT(out_.text(), HasSubstr("upload    nothing: the node has all of it"));
}

TEST_F(DeployTest, ABrokenUploadGoesOnWhereItStopped) {
  for (char name = 'a'; name <= 'c'; ++name)
    folder_.Write(std::string("large") + name, std::string(5 << 20, name));
  FakeAdmin admin(GoesLive());
  // The first of them is sent again at once: the connection had been kept.
  admin.BreakBatches({2, 3});
  Attempt<void> done = Run(admin);
  ASSERT_TRUE(done.ok()) << done.error().what;
  EXPECT_THAT(err_.text(), HasSubstr("the connection broke"));
  EXPECT_EQ(admin.contents().size(), 5U);
  // Three batches, one of them three times.
  EXPECT_EQ(admin.batches(), 5);
}

TEST_F(DeployTest, MakesTheAppWhenItIsNew) {
  FakeAdmin admin(GoesLive());
  admin.RemoveApp();
  ASSERT_TRUE(Run(admin).ok());
  EXPECT_THAT(out_.text(), HasSubstr("demo/hello is new: created"));
}

TEST_F(DeployTest, AMissingTenantIsAnErrorWithTheCommand) {
  FakeAdmin admin(GoesLive());
  options_.app = "other/hello";
  Attempt<void> done = Run(admin);
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, "tenant_not_found");
  EXPECT_THAT(done.error().advice, HasSubstr("cloister tenants create"));
}

TEST_F(DeployTest, ANameWithoutTenantNeedsExactlyOne) {
  FakeAdmin admin(GoesLive());
  admin.AddTenant("second");
  Attempt<void> done = Run(admin);
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, "tenant_unclear");
  EXPECT_EQ(done.error().exit, ExitCode::kUsage);
}

TEST_F(DeployTest, ARejectionShowsWhereAndWhy) {
  const Json rejected = {{"id", 7},
                         {"state", "rejected"},
                         {"steps", {Step(1, "received", "done"), Step(2, "compiled", "failed")}},
                         {"report",
                          {{"code", "syntax_error"},
                           {"message", "invalid syntax"},
                           {"file", "app.py"},
                           {"line", 2},
                           {"traceback", "    f(x,\n     ^\nSyntaxError"},
                           {"advice", "correct the line"}}}};
  FakeAdmin admin({GoesLive()[0], rejected});
  Attempt<void> done = Run(admin);
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().exit, ExitCode::kRefused);
  EXPECT_EQ(done.error().code, "syntax_error");
  EXPECT_EQ(done.error().what, "app.py:2: invalid syntax");
  EXPECT_THAT(done.error().detail, HasSubstr("     ^\nSyntaxError"));
  EXPECT_EQ(done.error().advice, "correct the line");
  EXPECT_THAT(out_.text(), HasSubstr("  compiled  ✗ 3 ms\n"));
}

TEST_F(DeployTest, OneJsonObjectAtTheEnd) {
  FakeAdmin admin(GoesLive());
  ASSERT_TRUE(Run(admin, Console::Format::kJson).ok());
  const Json answer = Json::parse(out_.text());
  EXPECT_EQ(answer["app"], "demo/hello");
  EXPECT_EQ(answer["url"], "http://hello.demo.localhost:8080/");
  EXPECT_EQ(answer["release"]["steps"].size(), 2U);
  EXPECT_EQ(err_.text(), "");
}

TEST_F(DeployTest, TheSameReleaseIsLiveAlready) {
  FakeAdmin admin(std::vector<Json>{GoesLive()[2]});
  ASSERT_TRUE(Run(admin).ok());
  EXPECT_THAT(out_.text(), HasSubstr("is live already"));
}

TEST_F(DeployTest, ABadManifestIsFoundBeforeAnythingIsSent) {
  folder_.Write("cloister.toml", "[app]\nnam = \"hello\"\n");
  FakeAdmin admin(GoesLive());
  Attempt<void> done = Run(admin);
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, "manifest_invalid");
  EXPECT_EQ(done.error().exit, ExitCode::kRefused);
  EXPECT_THAT(done.error().detail,
              HasSubstr("cloister.toml:2: unknown key 'nam' in [app]; did you mean 'name'?"));
  EXPECT_TRUE(admin.node().Seen().empty());

  options_.folder = "/no/such/folder";
  folder_.Write(".cloisterignore", "cloister.toml\n");
  folder_.Write("cloister.toml",
                "[app]\nname = \"hello\"\nversion = \"1.2.0\"\n[entry]\nweb = \"app:a\"\n");
  EXPECT_EQ(Run(admin).error().code, "manifest_missing");
}

TEST_F(DeployTest, AStaticPathThatLeadsToNothingIsFoundBeforeAnythingIsSent) {
  folder_.Write("cloister.toml",
                "[app]\nname = \"hello\"\nversion = \"1.2.0\"\n[entry]\nweb = \"app:a\"\n"
                "[static]\n\"/s/\" = \"static\"\n");
  options_.app = "demo/hello";
  FakeAdmin admin(GoesLive());
  Attempt<void> done = Run(admin);
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, "manifest_invalid");
  EXPECT_THAT(done.error().detail, HasSubstr("cloister.toml:7: [static] '/s/' leads to 'static/'"));
  EXPECT_TRUE(admin.node().Seen().empty());
  folder_.Write("static/a.css", "a");
  EXPECT_TRUE(Run(admin).ok());
}

TEST_F(DeployTest, PackagesAreCollectedAndTheBundlesOwnComeFirst) {
  folder_.Write("cloister.toml",
                "[app]\nname = \"hello\"\nversion = \"1.2.0\"\n[entry]\nweb = \"app:a\"\n"
                "[bundle]\npackages = [\"bottle\"]\n");
  folder_.Write("site-packages/bottle.py", "mine\n");
  FakeAdmin admin(GoesLive());
  Attempt<void> done = Run(admin);
  ASSERT_TRUE(done.ok()) << done.error().what;
  std::map<std::string, std::string> sent;
  const Json release = admin.sent_release();
  for (const Json& file : release["files"])
    sent.emplace(file["path"], file["sha256"]);
  EXPECT_EQ(sent["site-packages/bottle.py"], Sha256Of("mine\n").Hex());
  EXPECT_GT(sent.size(), 4U);
  EXPECT_THAT(out_.text(), HasSubstr("  packages  bottle "));
}

TEST_F(DeployTest, PackageProblemsSayWhatToDo) {
  folder_.Write("cloister.toml",
                "[app]\nname = \"hello\"\nversion = \"1.2.0\"\n[entry]\nweb = \"app:a\"\n"
                "[bundle]\npackages = [\"no-such-package\"]\n");
  FakeAdmin admin(GoesLive());
  Attempt<void> absent = Run(admin);
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(absent.error().code, "package_missing");
  EXPECT_EQ(absent.error().exit, ExitCode::kRefused);
  EXPECT_THAT(absent.error().advice, HasSubstr("apt install python3-no-such-package"));

  options_.python = "/no/such/python";
  EXPECT_EQ(Run(admin).error().code, "python_failed");
  options_.python = "/bin/false";
  EXPECT_EQ(Run(admin).error().code, "python_failed");
}

}  // namespace
}  // namespace cloister
