#include "daemon/workers/spawner.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>

#include "apis/base/log.h"
#include "apis/wire/fd_socket.h"
#include "daemon/workers/worker_log.h"

namespace cloister {
namespace {

// How often time-outs are looked at while something is under way.
constexpr Millis kTick{50};
// The most blanks of one order; the zygote takes no more.
constexpr std::size_t kBlanksAskedMax = 64;
// So many blanks in a row died before their hand-over: no order waits for the next one.
constexpr std::uint32_t kDeathsMax = 3;
constexpr std::uint32_t kDoublingsMax = 10;
// The exits that are remembered. Beyond: such a blank is found to be dead when it is placed.
constexpr std::size_t kStrangersMax = 64;

struct SocketPair {
  UniqueFd ours;
  UniqueFd theirs;
};

Result<SocketPair> MakeChannelPair(int type) {
  std::array<int, 2> ends = {-1, -1};
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return SystemError("socketpair");
  return SocketPair{.ours = UniqueFd(ends[0]), .theirs = UniqueFd(ends[1])};
}

// Whether a blank that waits said something or closed its socket: both mean that it ends.
bool HasSpoken(int control) {
  pollfd watched = {.fd = control, .events = POLLIN, .revents = 0};
  return ::poll(&watched, 1, 0) > 0;
}

// What a blank said of its end; empty when it said nothing.
std::string LastWords(int control) {
  if (!HasSpoken(control))
    return {};
  const Result<Received> received = ReceivePacket(control);
  if (!received.ok() || received.value().state != ReceiveState::kPacket)
    return {};
  const Result<BlankRefused> refused = DecodeMessage<BlankRefused>(received.value().packet.bytes);
  return refused.ok() ? refused.value().step + ": " + refused.value().error
                      : "it said something that no blank says";
}

std::string DescribeStatus(std::uint32_t status) {
  const ProcessEnd end = EndOf(status);
  return (end.how == ProcessEnd::How::kExited ? "exit code " : "signal ") +
         std::to_string(end.number);
}

}  // namespace

Spawner::Spawner(Loop& loop, WorkerControl& control, SpawnerOptions options)
    : loop_(loop), control_(control), options_(std::move(options)), tick_(loop) {}

Spawner::~Spawner() {
  // The keeper would find them when the node ends; so they go now.
  for (const Blank& blank : stock_)
    control_.Kill(blank.id);
  for (const Waiting& placing : placing_)
    control_.Kill(placing.blank.id);
}

void Spawner::SetZygote(UniqueFd socket) {
  zygote_watch_.reset();
  zygote_ = std::move(socket);
  asked_ = 0;
  ask_again_ = {};
  last_failure_.clear();
  zygote_watch_ =
      std::make_unique<FdWatch>(loop_, zygote_.get(), static_cast<FdWatch::Handler&>(*this));
  zygote_watch_->Watch(true, false);
  WantBlanks();
}

void Spawner::Spawn(SpawnOrder order, Client& client) {
  waiting_.push_back({.order = std::move(order),
                      .client = &client,
                      .deadline = loop_.Now() + options_.timeout,
                      .blank = {}});
  PlaceNext();
  WantBlanks();
  ArmTick();
}

void Spawner::Cancel(const Client& client) {
  std::erase_if(waiting_, [&](const Waiting& one) { return one.client == &client; });
  for (Waiting& one : placing_)
    if (one.client == &client)
      one.client = nullptr;
}

void Spawner::WantBlanks() {
  const std::size_t wanted = options_.blanks + waiting_.size();
  const std::size_t have = stock_.size() + asked_;
  if (loop_.Now() < ask_again_)
    return;
  if (!zygote_.valid()) {
    control_.WantZygote();
    (void)BackOff("the zygote is gone");
    return;
  }
  if (have >= wanted)
    return;
  const auto count = static_cast<std::uint32_t>(std::min(wanted - have, kBlanksAskedMax));
  const Result<void> sent = SendPacket(zygote_.get(), EncodeMessage(BlankWanted{.count = count}));
  if (sent.ok())
    asked_ += count;
}

void Spawner::OnReadable() {
  while (zygote_.valid()) {
    Result<Received> received = ReceivePacket(zygote_.get());
    if (!received.ok()) {
      Log(LogLevel::kError, "zygote_message_refused", {{"error", received.error().message}});
      return LoseZygote();
    }
    if (received.value().state == ReceiveState::kWouldBlock)
      return;
    if (received.value().state == ReceiveState::kClosed)
      return LoseZygote();
    TakeFromZygote(std::move(received.value().packet));
  }
}

void Spawner::TakeFromZygote(Packet packet) {
  asked_ -= std::min<std::uint32_t>(asked_, 1);
  if (TypeOf(packet.bytes) == MessageType::kBlankReady && packet.fds.size() == 1) {
    const Result<BlankReady> ready = DecodeMessage<BlankReady>(packet.bytes);
    if (ready.ok())
      return TakeBlank({.id = WorkerId{ready.value().worker_id},
                        .pid = ready.value().pid,
                        .control = std::move(packet.fds.front())});
  }
  std::string error = std::string("unexpected message ") + MessageName(TypeOf(packet.bytes));
  const Result<BlankFailed> failed = DecodeMessage<BlankFailed>(packet.bytes);
  if (failed.ok()) {
    error = failed.value().error;
    asked_ = 0;  // the zygote gave up all that it owed
  }
  const Millis pause = BackOff(error);
  Log(LogLevel::kError, "blank_failed", {{"error", error}, {"retry_ms", pause.count()}});
  FailOldest({ErrorCode::kUnavailable, "the host refused a new worker: " + error});
}

void Spawner::TakeBlank(Blank blank) {
  // The keeper may have been faster with the end than the zygote was with the beginning.
  const auto exited = std::ranges::find(strangers_, blank.id, &Exit::worker);
  if (exited != strangers_.end()) {
    const std::uint32_t status = exited->status;
    strangers_.erase(exited);
    return OnBlankDead(blank, DescribeStatus(status));
  }
  stock_.push_back(std::move(blank));
  PlaceNext();
  WantBlanks();
}

// The keeper gives us the next zygote unasked. When it does not, it is this socket alone that
// broke.
void Spawner::LoseZygote() {
  Log(LogLevel::kWarning, "zygote_lost", {{"orders", waiting_.size()}});
  zygote_watch_.reset();
  zygote_.Reset();
  asked_ = 0;
  (void)BackOff("the zygote is gone");
}

Millis Spawner::BackOff(std::string why) {
  const MonotonicTime now = loop_.Now();
  if (now - failed_at_ >= 2 * options_.retry_max)
    failures_ = deaths_ = 0;
  const std::uint32_t doublings = std::min(failures_++, kDoublingsMax);
  const Millis pause = std::min(options_.retry_max, options_.retry_after * (1 << doublings));
  failed_at_ = now;
  ask_again_ = now + pause;
  last_failure_ = std::move(why);
  ArmTick();
  return pause;
}

void Spawner::OnBlankDead(const Blank& blank, std::string how) {
  if (std::string words = LastWords(blank.control.get()); !words.empty())
    how = std::move(words);
  const Millis pause = BackOff("a new worker process ended before it could be used: " + how);
  ++deaths_;
  Log(LogLevel::kWarning, "blank_died",
      {{"worker", blank.id.number},
       {"why", how},
       {"in_row", deaths_},
       {"retry_ms", pause.count()}});
  if (deaths_ >= kDeathsMax)
    FailAll({ErrorCode::kUnavailable, last_failure_});
}

void Spawner::FailOldest(const Error& why) {
  if (waiting_.empty())
    return;
  Client* const client = waiting_.front().client;
  waiting_.pop_front();
  client->OnSpawned(why);
}

void Spawner::FailAll(const Error& why) {
  // A client may order again from within its call: that one is not among them.
  for (std::size_t count = waiting_.size(); count > 0; --count)
    FailOldest(why);
}

void Spawner::PlaceNext() {
  while (!waiting_.empty() && !stock_.empty()) {
    Waiting order = std::move(waiting_.front());
    waiting_.pop_front();
    Blank blank = std::move(stock_.front());
    stock_.erase(stock_.begin());
    Place(std::move(order), std::move(blank));
  }
}

void Spawner::Place(Waiting order, Blank blank) {
  const WorkerLimits& limits = order.order.limits;
  const PlaceWorker message{.worker_id = blank.id.number,
                            .group = order.order.group,
                            .memory_max_bytes = limits.memory_max.count,
                            .cpu_millis = limits.cpu_millis,
                            .pids_max = limits.threads_max};
  order.blank = std::move(blank);
  placing_.push_back(std::move(order));
  control_.Place(message);
}

void Spawner::OnWorkerPlaced(WorkerId worker, std::string_view error) {
  const auto found =
      std::ranges::find_if(placing_, [&](const Waiting& one) { return one.blank.id == worker; });
  if (found == placing_.end())
    return;  // it exited, or its order timed out
  Waiting order = std::move(*found);
  placing_.erase(found);
  if (order.client == nullptr)
    return control_.Kill(worker);
  Result<SpawnedWorker> spawned = HandOverTo(order, error);
  if (spawned.ok()) {
    failures_ = deaths_ = 0;
    last_failure_.clear();
  } else {
    // Whatever failed: if the blank is dead, that is why.
    const bool dead = HasSpoken(order.blank.control.get());
    control_.Kill(worker);
    if (dead)
      return Retry(std::move(order), "it closed its control socket");
  }
  order.client->OnSpawned(std::move(spawned));
}

void Spawner::Retry(Waiting order, std::string how) {
  const Blank dead = std::exchange(order.blank, {});
  waiting_.push_front(std::move(order));
  PlaceNext();
  OnBlankDead(dead, std::move(how));
}

Result<SpawnedWorker> Spawner::HandOverTo(Waiting& waiting, std::string_view place_error) const {
  if (!place_error.empty())
    return Error{ErrorCode::kUnavailable,
                 "the worker could not be placed: " + std::string(place_error)};
  if (HasSpoken(waiting.blank.control.get()))
    return Error{ErrorCode::kUnavailable, "the worker ended before its hand-over"};
  const SpawnOrder& order = waiting.order;
  SocketPair channel = TRY(MakeChannelPair(SOCK_STREAM));
  // Packets: a query process that dies leaves no half of one.
  SocketPair query = TRY(MakeChannelPair(SOCK_SEQPACKET));
  Inbox inbox;
  std::vector<int> fds;
  if (order.job != WorkerJob::kServe && order.job != WorkerJob::kCompile) {
    fds = {channel.theirs.get(), query.theirs.get()};
    for (const std::shared_ptr<const UniqueFd>& file : order.files)
      fds.push_back(file->get());
  } else {
    inbox = TRY(Inbox::Create());
    fds = {order.image->get(), inbox.fd(), channel.theirs.get(), query.theirs.get()};
  }
  const HandOver message{.worker_id = waiting.blank.id.number,
                         .job = static_cast<std::uint32_t>(order.job),
                         .app = order.app,
                         .version = order.version,
                         .entry = order.entry,
                         .memory_max_bytes = order.limits.memory_max.count,
                         .address_space_max_bytes = order.limits.address_space_max.count,
                         .threads_max = order.limits.threads_max,
                         .environment = options_.environment,
                         .module_rules = options_.module_rules};
  TRY(SendPacket(waiting.blank.control.get(), EncodeMessage(message), fds));
  inbox.TakeFd().Reset();
  return SpawnedWorker{.id = waiting.blank.id,
                       .pid = waiting.blank.pid,
                       .control = std::move(waiting.blank.control),
                       .channel = std::move(channel.ours),
                       .query = std::move(query.ours),
                       .inbox = std::move(inbox)};
}

bool Spawner::OnWorkerExited(WorkerId worker, std::uint32_t status) {
  const auto stocked = std::ranges::find(stock_, worker, &Blank::id);
  if (stocked != stock_.end()) {
    const Blank blank = std::move(*stocked);
    stock_.erase(stocked);
    OnBlankDead(blank, DescribeStatus(status));
    return true;
  }
  const auto found =
      std::ranges::find_if(placing_, [&](const Waiting& one) { return one.blank.id == worker; });
  if (found == placing_.end()) {
    if (strangers_.size() == kStrangersMax)
      strangers_.pop_front();
    strangers_.push_back({.worker = worker, .status = status});
    return false;
  }
  Waiting order = std::move(*found);
  placing_.erase(found);
  if (order.client != nullptr)
    Retry(std::move(order), DescribeStatus(status));
  return true;
}

Error Spawner::TooLate() const {
  std::string message =
      "no worker process within " + std::to_string(options_.timeout.count()) + " ms";
  if (!last_failure_.empty())
    message += ": " + last_failure_;
  return {ErrorCode::kDeadlineExceeded, std::move(message)};
}

void Spawner::ArmTick() {
  if (!tick_.active())
    tick_.Start(kTick, [this] { Tick(); });
}

void Spawner::Tick() {
  const MonotonicTime now = loop_.Now();
  const Error late = TooLate();
  while (!waiting_.empty() && waiting_.front().deadline <= now)
    FailOldest(late);
  std::vector<Waiting> expired;
  for (auto one = placing_.begin(); one != placing_.end();) {
    if (one->deadline > now) {
      ++one;
      continue;
    }
    expired.push_back(std::move(*one));
    one = placing_.erase(one);
  }
  for (const Waiting& one : expired) {
    control_.Kill(one.blank.id);
    if (one.client != nullptr)
      one.client->OnSpawned(late);
  }
  WantBlanks();
  if (!waiting_.empty() || !placing_.empty() || ask_again_ > now)
    ArmTick();
}

}  // namespace cloister
