#pragma once

// Tenants, apps, contents and releases of a node: what the node builds and the admin API speaks to.
//
// Start() opens the state, rejects what a crash interrupted, goes on with what a former node
// paused, and routes every app to its live release: it reads rows and builds nothing, so 10,000
// apps take a second. Close() pauses the deploys: after it another node process may be the writer.
// Runs on the loop thread.
//
//   State state(loop, dir);  LogStore logs(loop, clock, dir, {});  Images images(loop, state, {});
//   ... workers (they ask `images`), router (it asks workers) ...
//   Releases releases({loop, clock, state, images, logs, workers, router, calls},
//   QuotaOf(settings),
//                     settings.releases);
//   releases.Start([](Result<void> started) { ... });

#include <functional>
#include <memory>
#include <string>

#include "daemon/calls/call_server.h"
#include "daemon/logs/log_store.h"
#include "daemon/loop/timer.h"
#include "daemon/releases/catalog.h"
#include "daemon/releases/collector.h"
#include "daemon/releases/modules.h"
#include "daemon/releases/owners.h"
#include "daemon/releases/pipeline.h"
#include "daemon/releases/quotas.h"
#include "daemon/releases/uploads.h"
#include "daemon/releases/verifier.h"

namespace cloister {

class Releases {
 public:
  struct Parts {
    Loop& loop;
    const Clock& clock;
    State& state;
    Images& images;
    Configs& configs;
    LogStore& logs;
    WorkerSupervisor& workers;
    Router& router;
    CallServer& calls;
    DatabaseSource* databases = nullptr;  // null: no app has one
  };

  // `quota`: the node's. `policy`: which former releases stay.
  Releases(const Parts& parts, const Quota& quota, const ReleaseSettings& policy);
  Releases(const Releases&) = delete;
  Releases& operator=(const Releases&) = delete;
  ~Releases();

  // Fails when state.db cannot be opened: another program's, a newer version's, a full disk.
  void Start(std::function<void(Result<void>)> done);
  // Changes are refused from now on; `done` when the deploys under way are paused. What is live
  // goes on being served, also by workers that are yet to start: the state stays open for reading,
  // and letting go of it is its owner's.
  void Close(std::function<void()> done);

  bool open() const { return catalog_.open(); }
  Catalog& catalog() { return catalog_; }
  Owners& owners() { return owners_; }
  Uploads& uploads() { return uploads_; }
  Pipeline& pipeline() { return pipeline_; }
  Verifier& verifier() { return verifier_; }
  Collector& collector() { return collector_; }
  Quotas& quotas() { return quotas_; }
  const Modules& modules() const { return modules_; }

 private:
  struct Loaded;

  void EndLoading(Result<void> loaded, const std::function<void(Result<void>)>& done);
  void Load(std::function<void(Result<void>)> done);
  void Adopt(Loaded loaded);
  void ResumeWalks(const Loaded& loaded);
  void Sweep();

  Parts parts_;
  bool loading_ = false;
  std::function<void()> close_;  // was asked for while it was loading
  Catalog catalog_;
  Quotas quotas_;
  Owners owners_;
  Uploads uploads_;
  Pipeline pipeline_;
  Verifier verifier_;
  Collector collector_;
  Modules modules_;
  Timer sweep_timer_;
  std::shared_ptr<Releases*> self_;  // null inside once this is gone
};

}  // namespace cloister
