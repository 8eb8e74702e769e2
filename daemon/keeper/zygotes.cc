#include "daemon/keeper/zygotes.h"

#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "apis/base/log.h"
#include "daemon/keeper/time_slice.h"

namespace cloister {
namespace {

// A zygote that was told to end and does not (it is stopped) is killed after this.
constexpr Millis kEndingMax{5000};
// As many as a burst of new workers uses before the keeper's next turn; a larger one waits for it.
constexpr std::size_t kUidsAhead = 64;
// How often it is told that there are too few of them: the apps' load decides when that happens.
constexpr Seconds kExhaustedEvery{60};

}  // namespace

Result<void> Zygotes::Start() {
  TRY(StartOne());
  zygotes_.back().phase = Phase::kServing;
  GrantUids();
  return {};
}

Result<void> Zygotes::StartOne() {
  auto [link, child_end] = TRY(ControlLink::Create());
  const Identities& identities = ground_.identities;
  ChildPlan plan = PlanChild(ground_, "cloister-zygote", child_end.get());
  plan.fds.push_back({.fd = ground_.keeper_pidfd.get(), .number = 5, .name = "the keeper's pidfd"});
  plan.capabilities = ZygoteCapabilities(identities);
  plan.time_slice = kWorkerTimeSlice;
  plan.network = ChildNetwork::kEmptyOwnUser;
  if (identities.separate) {
    plan.uid = identities.zygote_uid;
    plan.network = ChildNetwork::kEmpty;
  }
  const pid_t pid = TRY(SpawnChild(plan));
  const std::uint32_t number = ++last_number_;
  link.Send(ZygoteStart{.number = number,
                        .own_uids = identities.separate ? 1U : 0U,
                        .landlock = static_cast<std::uint32_t>(ground_.landlock_abi)});
  zygotes_.push_back({.number = number,
                      .pid = pid,
                      .link = std::move(link),
                      .uids = {},
                      .started = clock_.Now(),
                      .kill_at = {}});
  Log(LogLevel::kInfo, "zygote_started", {{"zygote", number}, {"pid", pid}});
  return {};
}

UniqueFd Zygotes::Attach(std::uint64_t generation) {
  Zygote* serving = InPhase(Phase::kServing);
  if (serving == nullptr)
    return {};
  auto ends = MakeControlPair();
  if (!ends.ok()) {
    Log(LogLevel::kError, "zygote_attach_failed", {{"error", ends.error().message}});
    return {};
  }
  std::vector<UniqueFd> fds;
  fds.push_back(std::move(ends.value().first));
  serving->link.Send(NodeSocket{.generation = generation}, std::move(fds));
  return std::move(ends.value().second);
}

void Zygotes::Receive(const std::function<void(const Cloned&)>& adopt) {
  for (Zygote& zygote : zygotes_) {
    for (;;) {
      const Received received = zygote.link.Receive();
      if (received.state != ReceiveState::kPacket)
        break;
      OnPacket(zygote, received.packet, adopt);
    }
    if (zygote.link.broken() && zygote.phase != Phase::kEnding) {
      Log(LogLevel::kDebug, "zygote_lost",
          {{"zygote", zygote.number}, {"why", zygote.link.why_broken()}});
      (void)::kill(zygote.pid, SIGKILL);
      zygote.phase = Phase::kEnding;
    }
  }
}

void Zygotes::OnPacket(Zygote& zygote, const Packet& packet,
                       const std::function<void(const Cloned&)>& adopt) {
  const Result<Cloned> cloned = DecodeMessage<Cloned>(packet.bytes);
  if (cloned.ok()) {
    ++zygote.spawns;
    if (const std::uint32_t uid = cloned.value().uid; uid != 0 && zygote.uids.erase(uid) == 0)
      return zygote.link.Break("it gave a worker a user id that was not its to give");
    adopt(cloned.value());
    return GrantUids();
  }
  const Result<ZygoteReady> ready = DecodeMessage<ZygoteReady>(packet.bytes);
  if (!ready.ok())
    return zygote.link.Break(ready.error().message);
  Log(LogLevel::kInfo, "zygote_ready",
      {{"zygote", zygote.number},
       {"warm_us", ready.value().start_us},
       {"python", ready.value().python}});
  zygote.ready = true;
  restarts_.OnReady();
  if (zygote.phase == Phase::kWarming)
    TakeOver(zygote);
}

void Zygotes::TakeOver(Zygote& zygote) {
  if (Zygote* before = InPhase(Phase::kServing); before != nullptr) {
    Log(LogLevel::kInfo, "zygote_rotated",
        {{"from", before->number}, {"to", zygote.number}, {"spawns", before->spawns}});
    End(*before);
  }
  zygote.phase = Phase::kServing;
  reattach_ = true;
  GrantUids();
}

void Zygotes::GrantUids() {
  Zygote* serving = InPhase(Phase::kServing);
  if (serving == nullptr || !ground_.identities.separate)
    return;
  while (serving->uids.size() < kUidsAhead) {
    const std::optional<std::uint32_t> uid = uids_.Take();
    if (!uid)
      break;
    serving->uids.insert(*uid);
    serving->knows_of_none = false;
    serving->link.Send(WorkerUid{.uid = *uid});
  }
  // What an older zygote has ahead comes back when that has ended.
  const bool none = std::all_of(zygotes_.begin(), zygotes_.end(),
                                [](const Zygote& zygote) { return zygote.uids.empty(); });
  if (none && !std::exchange(serving->knows_of_none, true))
    TellExhausted(*serving);
}

void Zygotes::TellExhausted(Zygote& zygote) {
  zygote.link.Send(WorkerUid{.uid = 0});
  const MonotonicTime now = clock_.Now();
  if (exhausted_told_at_ && now - *exhausted_told_at_ < kExhaustedEvery)
    return;
  exhausted_told_at_ = now;
  Log(LogLevel::kError, "worker_uids_exhausted",
      {{"uids", ground_.identities.worker_uid_count},
       {"reason", "as many workers live; more need a larger node.uid_count and a restart"}});
}

void Zygotes::ReleaseUid(std::uint32_t uid) {
  if (uid == 0)
    return;
  uids_.Release(uid);
  GrantUids();
}

void Zygotes::End(Zygote& zygote) {
  // Half-closed: its last words are still read, so no worker goes unnoticed.
  (void)::shutdown(zygote.link.fd(), SHUT_WR);
  zygote.phase = Phase::kEnding;
  zygote.dismissed = true;
  zygote.kill_at = clock_.Now() + kEndingMax;
}

// One that made no worker has given nothing away.
bool Zygotes::CanRotate(const Zygote& zygote) const {
  return zygote.phase == Phase::kServing && zygote.ready && zygote.spawns > 0 && !stopping_ &&
         !start_at_ && InPhase(Phase::kWarming) == nullptr;
}

bool Zygotes::IsDue(const Zygote& zygote) const {
  const WorkerSettings& settings = ground_.settings.workers;
  return CanRotate(zygote) && (zygote.spawns >= settings.zygote_spawns_max ||
                               clock_.Now() - zygote.started >= settings.zygote_age_max);
}

void Zygotes::Tick() {
  const MonotonicTime now = clock_.Now();
  for (Zygote& zygote : zygotes_)
    if (zygote.kill_at && *zygote.kill_at <= now) {
      (void)::kill(zygote.pid, SIGKILL);
      zygote.kill_at.reset();
    }
  if (stopping_)
    return;
  if (start_at_) {
    if (*start_at_ <= now)
      TryStart();
    return;
  }
  if (std::any_of(zygotes_.begin(), zygotes_.end(), [this](const Zygote& z) { return IsDue(z); }))
    TryStart();
}

void Zygotes::TryStart() {
  start_at_.reset();
  const Result<void> started = StartOne();
  if (!started.ok()) {
    Log(LogLevel::kError, "zygote_start_failed", {{"error", started.error().message}});
    start_at_ = clock_.Now() + RestartPolicy::kDelayMax;
    return;
  }
  // Nobody serves: nodes wait for this one already, rather than for its warming up.
  if (InPhase(Phase::kServing) == nullptr)
    TakeOver(zygotes_.back());
}

std::optional<MonotonicTime> Zygotes::NextTick() const {
  std::optional<MonotonicTime> next = start_at_;
  const auto consider = [&next](MonotonicTime time) {
    if (!next || time < *next)
      next = time;
  };
  for (const Zygote& zygote : zygotes_) {
    if (zygote.kill_at)
      consider(*zygote.kill_at);
    if (CanRotate(zygote))
      consider(zygote.started + ground_.settings.workers.zygote_age_max);
  }
  return next;
}

bool Zygotes::OnExit(pid_t pid, int status) {
  const auto found = std::find_if(zygotes_.begin(), zygotes_.end(),
                                  [pid](const Zygote& zygote) { return zygote.pid == pid; });
  if (found == zygotes_.end())
    return false;
  const bool planned = found->dismissed || stopping_;
  const Millis lived = std::chrono::duration_cast<Millis>(clock_.Now() - found->started);
  Log(planned ? LogLevel::kInfo : LogLevel::kWarning, "zygote_exited",
      {{"zygote", found->number}, {"pid", pid}, {"status", status}, {"lived_ms", lived.count()}});
  // Of the uids that it had ahead no worker has one: its last words have been read, and what it did
  // not announce is never placed.
  for (const std::uint32_t uid : found->uids)
    uids_.Release(uid);
  zygotes_.erase(found);
  GrantUids();
  if (planned)
    return true;
  if (Zygote* warming = InPhase(Phase::kWarming);
      warming != nullptr && InPhase(Phase::kServing) == nullptr) {
    TakeOver(*warming);
    return true;
  }
  const bool by_itself = WIFEXITED(status) && WEXITSTATUS(status) != 0;
  const RestartPolicy::Verdict verdict = restarts_.OnEnd(
      lived, by_itself ? RestartPolicy::End::kByItself : RestartPolicy::End::kKilled);
  if (verdict.give_up)
    fatal_ = "the zygote ends as soon as it is started; its messages above say why";
  else
    start_at_ = clock_.Now() + verdict.delay;
  return true;
}

void Zygotes::Stop() {
  stopping_ = true;
  start_at_.reset();
  for (Zygote& zygote : zygotes_)
    End(zygote);
}

void Zygotes::Kill() const {
  for (const Zygote& zygote : zygotes_)
    (void)::kill(zygote.pid, SIGKILL);
}

const Zygotes::Zygote* Zygotes::InPhase(Phase phase) const {
  const auto found = std::find_if(zygotes_.begin(), zygotes_.end(),
                                  [phase](const Zygote& zygote) { return zygote.phase == phase; });
  return found == zygotes_.end() ? nullptr : &*found;
}

Zygotes::Zygote* Zygotes::InPhase(Phase phase) {
  return const_cast<Zygote*>(std::as_const(*this).InPhase(phase));
}

}  // namespace cloister
