#include "tests/support/fake_processes.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include "apis/base/check.h"
#include "apis/wire/fd_socket.h"

namespace cloister {

// One process of the zygote's that waits for its hand-over, until it has become a worker.
class FakeProcesses::Blank : private FdWatch::Handler {
 public:
  Blank(FakeProcesses& owner, WorkerId blank_id, UniqueFd socket)
      : id(blank_id),
        owner_(owner),
        socket_(std::move(socket)),
        watch_(std::make_unique<FdWatch>(owner.loop_, socket_.get(),
                                         static_cast<FdWatch::Handler&>(*this))) {
    watch_->Watch(true, false);
  }

  void Close() {
    watch_.reset();
    socket_.Reset();
  }
  bool open() const { return socket_.valid(); }
  int socket() const { return socket_.get(); }

  WorkerId id;

 private:
  void OnReadable() override {
    Result<Received> received = ReceivePacket(socket_.get());
    CHECK(received.ok());
    if (received.value().state == ReceiveState::kWouldBlock)
      return;
    if (received.value().state == ReceiveState::kClosed)
      return Close();
    Packet& packet = received.value().packet;
    owner_.Become(*this, DecodeMessage<HandOver>(packet.bytes).value(), std::move(packet.fds));
  }

  FakeProcesses& owner_;
  UniqueFd socket_;
  std::unique_ptr<FdWatch> watch_;
};

class FakeProcesses::Zygote : private FdWatch::Handler {
 public:
  Zygote(FakeProcesses& owner, UniqueFd socket)
      : owner_(owner),
        socket_(std::move(socket)),
        watch_(std::make_unique<FdWatch>(owner.loop_, socket_.get(),
                                         static_cast<FdWatch::Handler&>(*this))) {
    watch_->Watch(true, false);
  }

  int socket() const { return socket_.get(); }

 private:
  void OnReadable() override {
    const Result<Received> received = ReceivePacket(socket_.get());
    CHECK(received.ok());
    if (received.value().state == ReceiveState::kWouldBlock)
      return;
    if (received.value().state == ReceiveState::kClosed)
      return watch_->Watch(false, false);
    const auto message = DecodeMessage<BlankWanted>(received.value().packet.bytes);
    CHECK(message.ok());
    owner_.MakeBlanks(message.value().count);
  }

  FakeProcesses& owner_;
  UniqueFd socket_;
  std::unique_ptr<FdWatch> watch_;
};

FakeProcesses::FakeProcesses(Loop& loop)
    : on_start([](ScriptedWorker& worker) { worker.Ready(); }),
      on_interrupt([](ScriptedWorker&) {}),
      loop_(loop),
      self_(std::make_shared<FakeProcesses*>(this)) {}

FakeProcesses::~FakeProcesses() {
  *self_ = nullptr;
}

UniqueFd FakeProcesses::NewZygote() {
  auto [ours, theirs] = MakeControlPair().value();
  zygote_ = std::make_unique<Zygote>(*this, std::move(theirs));
  return std::move(ours);
}

void FakeProcesses::CloseZygote() {
  zygote_.reset();
}

void FakeProcesses::MakeBlanks(std::uint32_t count) {
  wanted += count;
  if (!blank_error.empty() && gives_blanks) {
    // The rest of the order is given up.
    CHECK(SendPacket(zygote_->socket(), EncodeMessage(BlankFailed{.error = blank_error})).ok());
    return;
  }
  for (std::uint32_t i = 0; i < count && gives_blanks; ++i)
    MakeBlank();
}

void FakeProcesses::MakeBlank() {
  auto [ours, theirs] = MakeControlPair().value();
  const WorkerId id{next_id_++};
  blanks_.push_back(std::make_unique<Blank>(*this, id, std::move(theirs)));
  if (!blank_dies.empty()) {
    const BlankRefused refused{.step = "enter_blank", .error = blank_dies};
    CHECK(SendPacket(blanks_.back()->socket(), EncodeMessage(refused)).ok());
    blanks_.back()->Close();
    if (exits_overtake)
      listener_->OnWorkerExited(id, 1U << 8U, Micros(1));
    else
      ExitCode(id, 1);
  }
  const BlankReady ready{.worker_id = id.number, .pid = static_cast<std::uint32_t>(id.number)};
  CHECK(SendPacket(zygote_->socket(), EncodeMessage(ready), {ours.get()}).ok());
}

void FakeProcesses::Become(Blank& blank, const HandOver& orders, std::vector<UniqueFd> fds) {
  const bool is_query = orders.job == static_cast<std::uint32_t>(WorkerJob::kQuery);
  CHECK((is_query || fds.size() == 4) && orders.worker_id == blank.id.number);
  if (!refuses.empty()) {
    const BlankRefused refused{.step = "confine", .error = refuses};
    CHECK(SendPacket(blank.socket(), EncodeMessage(refused)).ok());
    blank.Close();
    fds.clear();
    const WorkerId id = blank.id;
    loop_.Post([self = self_, id] {
      if (*self != nullptr)
        (*self)->ExitCode(id, 1);
    });
    return;
  }
  blank.Close();
  if (is_query) {
    queries.push_back(
        {.id = blank.id, .channel = std::move(fds[0]), .control = std::move(fds[1]), .files = {}});
    for (std::size_t i = 2; i < fds.size(); ++i)
      queries.back().files.push_back(std::move(fds[i]));
    return;
  }
  workers.push_back(std::make_unique<ScriptedWorker>(loop_, std::move(fds[2]), fds[1].get()));
  workers.back()->orders = orders;
  on_start(*workers.back());
}

std::vector<WorkerId> FakeProcesses::Blanks() const {
  std::vector<WorkerId> ids;
  for (const auto& blank : blanks_)
    if (blank->open())
      ids.push_back(blank->id);
  return ids;
}

void FakeProcesses::Vanish(WorkerId blank) {
  for (const auto& one : blanks_)
    if (one->id == blank)
      one->Close();
}

void FakeProcesses::Place(const PlaceWorker& order) {
  placed.push_back(order);
  if (!places)
    return;
  loop_.Post([self = self_, id = WorkerId{order.worker_id}, error = place_error] {
    if (*self != nullptr && (*self)->listener_ != nullptr)
      (*self)->listener_->OnWorkerPlaced(id, error);
  });
}

void FakeProcesses::Kill(WorkerId worker) {
  killed.push_back(worker);
  Exit(worker, SIGKILL);
}

void FakeProcesses::WantZygote() {
  ++zygotes_wanted;
}

void FakeProcesses::Interrupt(WorkerId worker) {
  interrupted.push_back(worker);
  for (const auto& one : workers)
    if (one->orders.worker_id == worker.number)
      on_interrupt(*one);
}

void FakeProcesses::Exit(WorkerId worker, std::uint32_t wait_status) {
  if (std::ranges::find(exited_, worker) != exited_.end())
    return;
  exited_.push_back(worker);
  for (const auto& one : workers)
    if (one->orders.worker_id == worker.number)
      one->Close();
  for (Query& query : queries)
    if (query.id == worker) {
      query.channel.Reset();
      query.control.Reset();
    }
  for (const auto& blank : blanks_)
    if (blank->id == worker)
      blank->Close();
  loop_.Post([self = self_, worker, wait_status] {
    if (*self != nullptr && (*self)->listener_ != nullptr)
      (*self)->listener_->OnWorkerExited(worker, wait_status, Micros(1));
  });
}

}  // namespace cloister
