#pragma once

// A WorkerSupervisor without processes: it answers as the test tells it, and keeps a record.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "daemon/http/message.h"
#include "daemon/loop/loop.h"
#include "daemon/workers/supervisor.h"
#include "sandbox/image/image.h"

namespace cloister {

class FakeWorkers : public WorkerSupervisor {
 public:
  explicit FakeWorkers(Loop& loop) : loop_(loop) {}

  // What the next ones fail with.
  std::optional<BootFailure> compile_failure;
  std::optional<BootFailure> boot_failure;
  // Why that one does not boot.
  std::function<std::optional<BootFailure>(const ReleaseSpec&)> refuses_boot;
  // While set, boots wait; EndBoots() lets them go.
  bool hold_boots = false;
  // While set, retired releases drain for ever; EndDraining() ends it.
  bool hold_draining = false;

  // Answers each request, now or later.
  std::function<void(ReleaseId, Exchange&)> on_dispatch = [this](ReleaseId, Exchange& exchange) {
    const auto& terms = exchange.request().node_terms;
    exchange.Respond(200, {}, terms && terms->for_runtime ? loaded_modules : "fine");
  };
  // What each release has loaded; see daemon/releases/modules.h.
  std::string loaded_modules = "main\tapp\tmain.py\n";

  std::vector<std::vector<std::string>> compiled;      // paths, for each Compile
  std::vector<std::string> booted;                     // versions
  std::map<std::string, std::string> last_image_code;  // path to code, of the last Boot
  std::vector<ReleaseSpec> specs;                      // of the boots
  std::vector<std::uint32_t> counts;                   // workers, of the boots
  std::map<std::uint64_t, std::uint32_t> running;      // release to workers; one when it has a pool
  std::set<RunId> runs;                                // booted or adopted, not retired
  std::set<std::uint64_t> pools;                       // their releases
  std::vector<std::uint64_t> adopted;
  std::vector<ReleaseSpec> adopted_specs;
  std::vector<ReleaseSpec> updated;
  std::vector<std::uint64_t> retired;
  std::vector<RunId> retired_runs;
  struct Reconfigured {
    RunId former;
    std::uint64_t config = 0;
    std::string payload;
    Delivery delivery = Delivery::kReplace;
  };
  std::vector<Reconfigured> reconfigured;
  std::vector<WorkerInfo> workers;
  ReleaseUse use;

  void Compile(const ReleaseSpec&, std::shared_ptr<const UniqueFd> source_image,
               std::function<void(CompileOutcome)> done) override {
    CompileOutcome outcome;
    std::vector<std::string> paths;
    const Image image = std::move(Image::Open(source_image->get(), Image::NeedSeals::kYes)).value();
    for (std::size_t i = 0; i < image.size(); ++i) {
      paths.emplace_back(image.At(i).path);
      outcome.code.push_back({.path = paths.back(), .code = "code of " + paths.back()});
    }
    compiled.push_back(std::move(paths));
    if (compile_failure) {
      outcome.code.clear();
      outcome.failure = std::make_unique<BootFailure>(*compile_failure);
    }
    Later([done = std::move(done), outcome = Shared(std::move(outcome))] {
      done(std::move(*outcome));
    });
  }

  void Boot(const ReleaseSpec& spec, std::shared_ptr<const UniqueFd> image_fd, std::uint32_t count,
            std::function<void(BootOutcome)> done) override {
    Add(spec.run());
    counts.push_back(count);
    specs.push_back(spec);
    last_image_code.clear();
    const Image image = std::move(Image::Open(image_fd->get(), Image::NeedSeals::kYes)).value();
    for (std::size_t i = 0; i < image.size(); ++i)
      last_image_code[std::string(image.At(i).path)] = image.At(i).code;
    BootOutcome outcome{.boot = Micros(3200), .failure = nullptr};
    std::optional<BootFailure> refused = refuses_boot ? refuses_boot(spec) : std::nullopt;
    if (refused)
      outcome.failure = std::make_unique<BootFailure>(std::move(*refused));
    else if (boot_failure)
      outcome.failure = std::make_unique<BootFailure>(*boot_failure);
    else
      booted.push_back(spec.version);
    auto end = [this, done = std::move(done), outcome = Shared(std::move(outcome))] {
      if (fail_held_)
        outcome->failure = std::make_unique<BootFailure>(*boot_failure);
      done(std::move(*outcome));
    };
    if (hold_boots)
      held_boots_.emplace_back(std::move(end));
    else
      Later(std::move(end));
  }

  void EndBoots() {
    hold_boots = false;
    for (auto& end : std::exchange(held_boots_, {}))
      Later(std::move(end));
  }
  // Lets them go with `boot_failure`, whatever they would have ended with.
  void FailHeldBoots() {
    fail_held_ = true;
    EndBoots();
  }
  bool has_held_boots() const { return !held_boots_.empty(); }

  void Adopt(const ReleaseSpec& spec) override {
    Add(spec.run());
    adopted.push_back(spec.release.number);
    adopted_specs.push_back(spec);
  }

  void Update(const ReleaseSpec& spec) override { updated.push_back(spec); }

  void Reconfigure(RunId former, std::shared_ptr<const RunConfig> config,
                   Delivery delivery) override {
    if (Drop(former))
      Add({.release = former.release, .config = config->number});
    reconfigured.push_back({.former = former,
                            .config = config->number,
                            .payload = config->payload.text(),
                            .delivery = delivery});
  }

  void Retire(RunId run, std::function<void()> drained) override {
    Drop(run);
    retired.push_back(run.release.number);
    retired_runs.push_back(run);
    if (hold_draining)
      held_drains_.push_back(std::move(drained));
    else
      Later(std::move(drained));
  }

  void WhenGone(AppId /*app*/, std::function<void()> gone) override {
    if (hold_draining)
      held_drains_.push_back(std::move(gone));
    else
      Later(std::move(gone));
  }

  void EndDraining() {
    hold_draining = false;
    for (auto& drained : std::exchange(held_drains_, {}))
      Later(std::move(drained));
  }

  void Dispatch(RunId run, Exchange& exchange) override { on_dispatch(run.release, exchange); }

  std::vector<WorkerInfo> List() const override { return workers; }

  ReleaseUse Use(RunId) const override { return use; }

  std::uint32_t CountWorkers(RunId run) const override {
    const auto found = running.find(run.release.number);
    return found != running.end() ? found->second : runs.contains(run) ? 1 : 0;
  }

 private:
  // std::function wants to copy what it holds.
  template <typename T>
  static std::shared_ptr<T> Shared(T value) {
    return std::make_shared<T>(std::move(value));
  }
  void Add(RunId run) {
    runs.insert(run);
    pools.insert(run.release.number);
  }
  // Whether it was there.
  bool Drop(RunId run) {
    const bool found = runs.erase(run) > 0;
    pools.clear();
    for (const RunId& other : runs)
      pools.insert(other.release.number);
    return found;
  }
  void Later(std::function<void()> task) { loop_.Post(std::move(task)); }

  Loop& loop_;
  bool fail_held_ = false;
  std::vector<std::function<void()>> held_boots_;
  std::vector<std::function<void()>> held_drains_;
};

}  // namespace cloister
