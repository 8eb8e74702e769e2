#pragma once

// A node without processes and sockets: the releases with everything that they need, in a directory
// of their own. May be restarted.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "apis/wire/codec.h"
#include "daemon/calls/call_server.h"
#include "daemon/releases/releases.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_workers.h"
#include "tests/support/run_until.h"
#include "tests/support/temp_dir.h"

namespace cloister {

using Files = std::vector<std::pair<std::string, std::string>>;  // path, bytes

inline std::string ManifestOf(const std::string& version, const std::string& more = "") {
  return "[app]\nname = \"hello\"\nversion = \"" + version +
         "\"\n\n[entry]\nweb = \"main:application\"\n" + more;
}

inline Files HelloFiles(const std::string& version, const std::string& text = "Hello") {
  return {{"cloister.toml", ManifestOf(version)},
          {"main.py", "def application(e, s): return [b'" + text + "']\n"},
          {"static/logo.txt", "a logo"}};
}

inline std::string BatchOf(const Files& files) {
  std::string batch;
  for (const auto& [path, bytes] : files) {
    WireWriter out(batch);
    out.Raw(Sha256Of(bytes).view());
    out.U64(bytes.size());
    out.Raw(bytes);
  }
  return batch;
}

inline std::vector<ReleaseFile> ListOf(const Files& files) {
  std::vector<ReleaseFile> list;
  for (const auto& [path, bytes] : files)
    list.push_back({.path = path, .sha256 = Sha256Of(bytes), .size = bytes.size()});
  return list;
}

inline BootFailure FailureOf(std::string code, std::string message) {
  BootFailure failure;
  failure.code = std::move(code);
  failure.message = std::move(message);
  return failure;
}

// Without one, a report that no test expects.
inline ReportRow ReportOf(const ReleaseView& view) {
  return view.report.value_or(ReportRow{.code = "none"});
}

class NodeTest : public testing::Test {
 protected:
  NodeTest() { Begin(); }

  // Builds all parts over the same directory, as a new process would.
  void Begin(const LimitSettings& quota = {}) {
    state = std::make_unique<State>(loop, dir.path());
    logs = std::make_unique<LogStore>(loop, clock, dir.path(), LogLimits());
    images = std::make_unique<Images>(loop, *state, Images::Options());
    calls = std::make_unique<CallServer>(clock, *logs);
    configs = std::make_unique<Configs>(*state, std::make_shared<NodeKey>(dir.path(), UniqueFd()));
    workers = std::make_unique<FakeWorkers>(loop);
    router = std::make_unique<Router>(
        "localhost", Router::Parts{.workers = *workers, .logs = *logs, .clock = clock});
    releases = std::make_unique<Releases>(Releases::Parts{.loop = loop,
                                                          .clock = clock,
                                                          .state = *state,
                                                          .images = *images,
                                                          .configs = *configs,
                                                          .logs = *logs,
                                                          .workers = *workers,
                                                          .router = *router,
                                                          .calls = *calls},
                                          Quota{.limits = quota, .log = {}}, policy);
  }
  void Start() {
    bool is_over = false;
    std::string problem;
    releases->Start([&](const Result<void>& started) {
      is_over = true;
      problem = started.ok() ? "" : started.error().message;
    });
    ASSERT_TRUE(RunUntil(loop, [&] { return is_over; }));
    ASSERT_EQ(problem, "");
  }
  // What a kill leaves: no part hears of it.
  void Crash() {
    releases.reset();
    router.reset();
    workers.reset();
    calls.reset();
    configs.reset();
    images.reset();
    logs.reset();
    state.reset();
    Begin();
  }

  template <typename T>
  using DoneOf = std::function<void(Outcome<T>)>;

  // Calls `ask` with a callback and runs the loop until it was called.
  template <typename T, typename Ask>
  Outcome<T> Wait(Ask ask) {
    std::optional<Outcome<T>> outcome;
    ask(DoneOf<T>([&](Outcome<T> result) { outcome = std::move(result); }));
    EXPECT_TRUE(RunUntil(loop, [&] { return outcome.has_value(); }));
    if (!outcome)
      return Problem{.code = ProblemCode::kInternal, .detail = "never answered"};
    return std::move(*outcome);
  }

  Outcome<TenantRow> CreateTenant(const std::string& name) {
    return Wait<TenantRow>(
        [&](const auto& done) { releases->owners().CreateTenant(name, "tester", done); });
  }
  Outcome<AppRow> CreateApp(const std::string& tenant, const std::string& name) {
    return Wait<AppRow>(
        [&](const auto& done) { releases->owners().CreateApp(tenant, name, "tester", done); });
  }
  Outcome<std::size_t> Upload(const std::string& tenant, const std::string& batch) {
    return Wait<std::size_t>([&](const auto& done) {
      releases->uploads().Store(
          tenant, [batch]() -> Result<std::string> { return batch; }, "tester", done);
    });
  }
  static AppName Hello() { return std::move(AppName::Parse("demo/hello")).value(); }

  // Started, with the app demo/hello.
  void StartWithApp() {
    Start();
    ASSERT_TRUE(CreateTenant("demo").ok());
    ASSERT_TRUE(CreateApp("demo", "hello").ok());
  }

  enum class Downgrade { kRefuse, kAllow };

  // Sends the list without the contents.
  Outcome<DeployAnswer> Send(const Files& files, Downgrade downgrade = Downgrade::kRefuse,
                             ReleaseGoal goal = ReleaseGoal::kLive) {
    Outcome<Bundle> bundle = CheckBundle(ListOf(files));
    if (!bundle.ok())
      return std::move(bundle).error();
    return Wait<DeployAnswer>([&](const auto& done) {
      releases->pipeline().Deploy({.app = Hello(),
                                   .bundle = std::move(bundle).value(),
                                   .allow_downgrade = downgrade == Downgrade::kAllow,
                                   .goal = goal,
                                   .canary_percent = goal == ReleaseGoal::kCanary ? 10U : 0U,
                                   .who = "tester"},
                                  done);
    });
  }
  // Uploads, sends, and waits for the end; the release as it is then.
  Outcome<ReleaseView> Deploy(const Files& files, Downgrade downgrade = Downgrade::kRefuse,
                              ReleaseGoal goal = ReleaseGoal::kLive) {
    const Outcome<std::size_t> uploaded = Upload("demo", BatchOf(files));
    if (!uploaded.ok())
      return Problem(uploaded.error());
    Outcome<DeployAnswer> answer = Send(files, downgrade, goal);
    if (!answer.ok())
      return std::move(answer).error();
    return Settled(answer.value().view.release.id);
  }
  // A rollback or promotion, decided but not walked yet.
  Outcome<DeployAnswer> Turn(TurnKind kind, const std::string& version = "") {
    return Wait<DeployAnswer>([&](const auto& done) {
      releases->pipeline().Turn(Hello(), {.kind = kind, .version = version}, "tester", done);
    });
  }
  // To its end; the release as it is then.
  Outcome<ReleaseView> Turned(TurnKind kind, const std::string& version = "") {
    Outcome<DeployAnswer> answer = Turn(kind, version);
    if (!answer.ok())
      return std::move(answer).error();
    return Settled(answer.value().view.release.id);
  }
  Outcome<ReleaseView> View(ReleaseId id) {
    return Wait<ReleaseView>(
        [&](const auto& done) { releases->pipeline().Find(Hello(), id, done); });
  }
  Outcome<ReleaseView> Settled(ReleaseId id) {
    EXPECT_TRUE(RunUntil(loop, [&] {
      return releases->catalog().FindApp(Hello())->activity == AppActivity::kNone;
    }));
    return View(id);
  }
  ReleaseState StateOf(ReleaseId id) { return View(id).value().release.state; }

  // Asks again and again; each time the loop runs.
  bool Becomes(ReleaseId id, ReleaseState wanted) {
    for (int tries = 0; tries < 2000; ++tries)
      if (StateOf(id) == wanted)
        return true;
    return false;
  }

  // The version that requests of the app get now.
  std::string Routed() const {
    const AppEntry* app = releases->catalog().FindApp(Hello());
    const auto snapshot = app == nullptr ? nullptr : router->Current(app->row.id);
    return snapshot == nullptr ? "<no route>" : snapshot->version;
  }

  ReleaseSettings policy;  // of the next Begin()
  TempDir dir;
  FakeClock clock;
  Loop loop;
  std::unique_ptr<State> state;
  std::unique_ptr<LogStore> logs;
  std::unique_ptr<Images> images;
  std::unique_ptr<CallServer> calls;
  std::unique_ptr<Configs> configs;
  std::unique_ptr<FakeWorkers> workers;
  std::unique_ptr<Router> router;
  std::unique_ptr<Releases> releases;
};

}  // namespace cloister
