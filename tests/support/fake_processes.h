#pragma once

// Keeper, zygote and blanks in one object on the test's own loop: workers are ScriptedWorkers.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apis/base/names.h"
#include "apis/base/unique_fd.h"
#include "apis/wire/messages.h"
#include "daemon/loop/fd_watch.h"
#include "daemon/loop/loop.h"
#include "daemon/workers/keeper_link.h"
#include "tests/support/scripted_worker.h"

namespace cloister {

class FakeProcesses : public WorkerControl {
 public:
  explicit FakeProcesses(Loop& loop);
  FakeProcesses(const FakeProcesses&) = delete;
  FakeProcesses& operator=(const FakeProcesses&) = delete;
  ~FakeProcesses() override;

  // The node's end of a (new) zygote's socket; the one before is closed.
  UniqueFd NewZygote();
  void CloseZygote();

  void SetListener(Listener* listener) override { listener_ = listener; }
  void Place(const PlaceWorker& order) override;
  void Kill(WorkerId worker) override;
  void Interrupt(WorkerId worker) override;
  void WantZygote() override;

  // The process ends: its channel closes, then the keeper says so.
  void Exit(WorkerId worker, std::uint32_t wait_status);
  void ExitCode(WorkerId worker, std::uint32_t code) { Exit(worker, code << 8); }
  // The blank ends, and nobody says so.
  void Vanish(WorkerId blank);
  // The blanks that were not handed over yet.
  std::vector<WorkerId> Blanks() const;

  // What a worker does when it has been handed everything; at first: it becomes ready.
  std::function<void(ScriptedWorker&)> on_start;
  // What the reserved signal does; at first: nothing.
  std::function<void(ScriptedWorker&)> on_interrupt;

  bool gives_blanks = true;     // else the zygote is silent
  std::string blank_error;      // else the first blank of an order fails so, and ends the order
  std::string blank_dies;       // else blanks end so as soon as they are made
  bool exits_overtake = false;  // of these blanks: the keeper tells of them before the zygote does
  bool places = true;           // else the keeper is silent
  std::string place_error;      // else placing fails so
  std::string refuses;          // else blanks refuse the hand-over so
  std::vector<PlaceWorker> placed;
  std::vector<WorkerId> killed;
  std::vector<WorkerId> interrupted;
  std::uint32_t wanted = 0;  // blanks, all together
  std::uint32_t zygotes_wanted = 0;
  // Alive and dead, in order of their hand-over.
  std::vector<std::unique_ptr<ScriptedWorker>> workers;
  // The same of query processes; tests speak for them.
  struct Query {
    WorkerId id;
    UniqueFd channel;
    UniqueFd control;
    std::vector<UniqueFd> files;
  };
  std::vector<Query> queries;

 private:
  class Blank;
  class Zygote;
  friend class Blank;
  friend class Zygote;

  void MakeBlanks(std::uint32_t count);
  void MakeBlank();
  void Become(Blank& blank, const HandOver& orders, std::vector<UniqueFd> fds);

  Loop& loop_;
  Listener* listener_ = nullptr;
  std::unique_ptr<Zygote> zygote_;
  std::vector<std::unique_ptr<Blank>> blanks_;
  std::vector<WorkerId> exited_;
  std::uint64_t next_id_ = (std::uint64_t{1} << 32) + 1;
  std::shared_ptr<FakeProcesses*> self_;
};

}  // namespace cloister
