#pragma once

// A pool on scripted workers, and its owner.

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/workers/pool.h"
#include "tests/daemon/workers/worker_fixture.h"

namespace cloister {

class PoolTest : public testing::Test, private Pool::Owner {
 protected:
  Pool& Make(ReleaseSpec spec, PoolOptions options = {}, WorkerOptions worker = Patient()) {
    options_ = options;
    ground_ = std::make_unique<WorkerGround>(worker);
    pool_ = std::make_unique<Pool>(ground_->env, options_, std::move(spec),
                                   static_cast<Pool::Owner&>(*this));
    return *pool_;
  }
  void TearDown() override {
    pool_.reset();
    // After the pool, or they would hear from it that their clients are gone.
    exchanges_.clear();
    ground_.reset();
  }
  FakeProcesses& processes() { return ground_->processes; }
  ScriptedWorker& script(std::size_t number) { return *processes().workers.at(number); }
  FakeExchange& Ask(const std::string& target = "/",
                    std::optional<NodeTerms> terms = std::nullopt) {
    exchanges_.push_back(std::make_unique<FakeExchange>(target));
    exchanges_.back()->request().node_terms = terms;
    pool_->Submit(*exchanges_.back());
    return *exchanges_.back();
  }
  // From now on new workers answer everything.
  void AnswerAll() {
    processes().on_start = [](ScriptedWorker& worker) {
      worker.on_request = [](ScriptedWorker& self, const ScriptedWorker::Got& got) {
        self.Answer(got, got.target);
      };
      worker.Ready();
    };
  }
  // From now on new workers claim and never answer.
  void HoldAll() {
    processes().on_start = [](ScriptedWorker& worker) {
      worker.on_request = [](ScriptedWorker& self, const ScriptedWorker::Got& got) {
        self.Claim(got);
      };
      worker.Ready();
    };
  }
  static void Finish(ScriptedWorker& worker, std::size_t number) {
    worker.SendHead(worker.requests.at(number).id, {.status = 200, .reason = "OK", .headers = {}},
                    "done", kFrameEnd);
  }
  bool Until(const std::function<bool()>& condition) { return ground_->Until(condition); }

  PoolOptions options_;
  std::unique_ptr<WorkerGround> ground_;
  std::unique_ptr<Pool> pool_;
  std::deque<std::unique_ptr<FakeExchange>> exchanges_;
  int images_wanted_ = 0;
  bool image_fails_ = false;
  bool image_late_ = false;
  std::vector<Exchange*> rerouted_;
  int empty_ = 0;

 private:
  void LoadImage(Pool& pool) override {
    ++images_wanted_;
    if (image_fails_)
      pool.OnImage(Error{ErrorCode::kSystem, "the store is gone"});
    else if (!image_late_)
      pool.OnImage(RunParts(SomeImage()));
  }
  void Reroute(Exchange& exchange) override {
    rerouted_.push_back(&exchange);
    exchange.Respond(200, {}, "from the new release");
  }
  void OnPoolEmpty(Pool& /*pool*/) override { ++empty_; }
};

}  // namespace cloister
