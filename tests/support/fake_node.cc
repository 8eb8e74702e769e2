// A node without HTTP rules, router or store: what the process tests start as cloister-node.
//
// Speaks the control messages like the real one, and passes its connections on when it drains.
// Serves GET on kept-alive connections, each by a request to one confined worker, and answers with
// a JSON object of generation, node, worker. Holds a lock in the state directory while it has the
// writer's role and ends with status 9 if it cannot have it: two writers at a time would not go
// unnoticed. Where it finds fake.hang there, it removes that and hangs; fake.slow_end: it takes a
// second from its last word to its end. GET /lose-zygote makes the zygote hang up on it, GET
// /many-blanks has it order more blanks than it needs.

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <deque>
#include <list>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "apis/wire/fd_socket.h"
#include "apis/wire/messages.h"
#include "tests/support/fake_worker.h"

namespace cloister {
namespace {

constexpr int kControlFd = 3;
constexpr int kTwoWriters = 9;
constexpr std::uint32_t kBlanks = 2;
constexpr std::uint32_t kManyBlanks = 20;

struct Client {
  UniqueFd fd;
  std::string unread;
  bool decided = false;  // a head is complete, its body is not
  bool closed = false;
};

class FakeNode {
 public:
  Result<void> Start() {
    const Received first = TRY(ReceivePacket(kControlFd));
    start_ = TRY(DecodeMessage<NodeStart>(first.packet.bytes));
    std::istringstream names(start_.fd_names);
    std::string name;
    for (const UniqueFd& fd : first.packet.fds) {
      names >> name;
      UniqueFd own(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
      if (name == "http")
        listeners_.push_back(std::move(own));
      else if (name == "zygote")
        UseZygote(std::move(own));
      else if (name == "adopt")
        adopt_ = std::move(own);
      else if (name == "pass_on")
        pass_on_ = std::move(own);
    }
    if (start_.writer == 0)
      return Say(NodePrepared{});
    return BecomeTheWriter();
  }

  void Run() {
    while (!finished_) {
      Wait(/*clients=*/true, -1);
      for (Client& client : clients_)
        Serve(client);
      clients_.remove_if([](const Client& client) { return client.closed; });
      if (draining_)
        PassOn();
    }
  }

 private:
  template <typename Message>
  Result<void> Say(const Message& message) {
    return SendPacket(kControlFd, EncodeMessage(message));
  }

  Result<void> BecomeTheWriter() {
    const std::string path = start_.state_dir + "/fake.writer";
    lock_.Reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0)
      ::_exit(kTwoWriters);
    if (::unlink((start_.state_dir + "/fake.hang").c_str()) == 0)
      for (;;)
        (void)::pause();
    accepting_ = true;
    return Say(NodeReady{});
  }

  void UseZygote(UniqueFd zygote) {
    zygote_ = std::move(zygote);
    ordered_ = 0;
    OrderBlanks();
  }

  void OrderBlanks() {
    const std::uint32_t have = static_cast<std::uint32_t>(blanks_.size()) + ordered_;
    if (!zygote_.valid() || have >= blanks_wanted_)
      return;
    (void)SendPacket(zygote_.get(), EncodeMessage(BlankWanted{.count = blanks_wanted_ - have}));
    ordered_ = blanks_wanted_ - static_cast<std::uint32_t>(blanks_.size());
  }

  // Waits for the control sockets, and for listeners and clients too unless a request waits.
  void Wait(bool clients, int timeout_ms) {
    std::vector<pollfd> watched = {
        {.fd = kControlFd, .events = POLLIN, .revents = 0},
        {.fd = zygote_.get(), .events = POLLIN, .revents = 0},
        {.fd = accepting_ && clients ? adopt_.get() : -1, .events = POLLIN, .revents = 0}};
    if (clients)
      for (const Client& client : clients_)
        watched.push_back({.fd = client.fd.get(), .events = POLLIN, .revents = 0});
    if (clients && accepting_)
      for (const UniqueFd& listener : listeners_)
        watched.push_back({.fd = listener.get(), .events = POLLIN, .revents = 0});
    (void)::poll(watched.data(), watched.size(), timeout_ms);
    // Before the keeper's words: they may bring another zygote's socket.
    if (watched[1].revents != 0)
      FromZygote();
    if (watched[0].revents != 0)
      FromKeeper();
    if (!clients || !accepting_)
      return;
    if (watched[2].revents != 0)
      Adopt();
    Accept();
  }

  void FromKeeper() {
    Result<Received> received = ReceivePacket(kControlFd);
    if (!received.ok() || received.value().state != ReceiveState::kPacket)
      ::_exit(0);
    Packet packet = std::move(received.value().packet);
    switch (TypeOf(packet.bytes)) {
      case MessageType::kZygoteSocket:
        return UseZygote(std::move(packet.fds.at(0)));
      case MessageType::kWorkerPlaced:
        placed_ = DecodeMessage<WorkerPlaced>(packet.bytes).value();
        return;
      case MessageType::kBecomeWriter:
        (void)BecomeTheWriter();
        return;
      case MessageType::kDrain:
        accepting_ = false;
        draining_ = true;
        lock_.Reset();
        (void)Say(WriterReleased{});
        return;
      case MessageType::kNodeAlone:
        return;
      case MessageType::kStop:
        finished_ = true;
        return;
      case MessageType::kWorkerExited:
        OnExited(DecodeMessage<WorkerExited>(packet.bytes).value());
        return;
      default:
        ::_exit(1);
    }
  }

  void OnExited(const WorkerExited& exited) {
    if (worker_ && worker_->id() == exited.worker_id)
      worker_.reset();
    std::erase_if(blanks_, [&](const FakeBlank& blank) { return blank.id == exited.worker_id; });
    OrderBlanks();
  }

  void FromZygote() {
    Result<Received> received = ReceivePacket(zygote_.get());
    if (!received.ok() || received.value().state != ReceiveState::kPacket) {
      zygote_.Reset();
      (void)Say(ZygoteWanted{});
      return;
    }
    Packet& packet = received.value().packet;
    const Result<BlankReady> ready = DecodeMessage<BlankReady>(packet.bytes);
    --ordered_;
    if (!ready.ok()) {
      (void)std::fprintf(stderr, "fake node: %s\n",
                         DecodeMessage<BlankFailed>(packet.bytes).value().error.c_str());
      return;
    }
    blanks_.push_back({.id = ready.value().worker_id,
                       .pid = ready.value().pid,
                       .control = std::move(packet.fds.at(0))});
  }

  void Accept() {
    for (const UniqueFd& listener : listeners_) {
      UniqueFd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (fd.valid())
        clients_.push_back({.fd = std::move(fd), .unread = {}});
    }
  }

  void Adopt() {
    Packet packet = ReceivePacket(adopt_.get()).value().packet;
    clients_.push_back(
        {.fd = std::move(packet.fds.at(0)),
         .unread = DecodeMessage<ClientConnection>(packet.bytes).value().read_ahead});
  }

  void Serve(Client& client) {
    std::array<char, 4096> part = {};
    ssize_t size = 0;
    while ((size = ::recv(client.fd.get(), part.data(), part.size(), MSG_DONTWAIT)) > 0)
      client.unread.append(part.data(), static_cast<std::size_t>(size));
    client.closed = size == 0;
    for (;;) {
      const std::size_t head = client.unread.find("\r\n\r\n");
      if (head == std::string::npos)
        return;
      const std::size_t end = head + 4 + BodySize(client.unread.substr(0, head));
      client.decided = client.unread.size() < end;
      if (client.decided)
        return;
      if (client.unread.starts_with("GET /lose-zygote ") && zygote_.valid())
        (void)SendPacket(zygote_.get(), "no message");
      if (client.unread.starts_with("GET /many-blanks "))
        blanks_wanted_ = kManyBlanks;
      client.unread.erase(0, end);
      OrderBlanks();
      Answer(client);
    }
  }

  static std::size_t BodySize(const std::string& head) {
    constexpr std::string_view kName = "\r\nContent-Length: ";
    const std::size_t at = head.find(kName);
    return at == std::string::npos ? 0 : std::stoul(head.substr(at + kName.size()));
  }

  void Answer(Client& client) {
    const Result<std::string> answer = AskWorker();
    std::ostringstream body;
    body << R"({"generation": )" << start_.generation << R"(, "node": )" << ::getpid()
         << R"(, "worker": )" << (worker_ ? worker_->pid() : 0) << R"(, "cgroups": ")"
         << start_.cgroups << R"(", "answer": ")"
         << (answer.ok() ? answer.value() : answer.error().message) << "\"}";
    const std::string text = body.str();
    const std::string response =
        "HTTP/1.1 " + std::string(answer.ok() ? "200 OK" : "502 Bad Gateway") +
        "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(text.size()) +
        "\r\n\r\n" + text;
    (void)::send(client.fd.get(), response.data(), response.size(), MSG_NOSIGNAL);
  }

  Result<std::string> AskWorker() {
    if (!worker_)
      worker_.emplace(TRY(MakeWorker()));
    Result<std::string> answer = worker_->Ask();
    if (!answer.ok())
      worker_.reset();
    return answer;
  }

  Result<FakeWorker> MakeWorker() {
    while (blanks_.empty())
      Wait(/*clients=*/false, -1);
    FakeBlank blank = std::move(blanks_.front());
    blanks_.pop_front();
    OrderBlanks();
    placed_.reset();
    TRY(Say(PlaceWorker{.worker_id = blank.id,
                        .group = "app-1",
                        .memory_max_bytes = std::uint64_t{256} << 20,
                        .cpu_millis = 1000,
                        .pids_max = 64}));
    while (!placed_)
      Wait(/*clients=*/false, -1);
    if (!placed_->error.empty())
      return Error{ErrorCode::kUnavailable, placed_->error};
    return FakeWorker::HandOverTo(std::move(blank));
  }

  // Passes on every connection on which no request is decided; ends when there is no other.
  void PassOn() {
    for (Client& client : clients_)
      if (!client.decided) {
        const ClientConnection message = {.server = 1, .read_ahead = client.unread};
        (void)SendPacket(pass_on_.get(), EncodeMessage(message), {client.fd.get()});
        client.closed = true;
      }
    clients_.remove_if([](const Client& client) { return client.closed; });
    if (!clients_.empty())
      return;
    (void)Say(DrainDone{});
    if (::unlink((start_.state_dir + "/fake.slow_end").c_str()) == 0) {
      (void)::close(kControlFd);
      (void)::sleep(1);
    }
    finished_ = true;
  }

  NodeStart start_;
  std::vector<UniqueFd> listeners_;
  UniqueFd zygote_;
  UniqueFd adopt_;
  UniqueFd pass_on_;
  UniqueFd lock_;
  std::list<Client> clients_;
  std::deque<FakeBlank> blanks_;
  std::uint32_t blanks_wanted_ = kBlanks;
  std::uint32_t ordered_ = 0;
  std::optional<FakeWorker> worker_;
  std::optional<WorkerPlaced> placed_;
  bool accepting_ = false;
  bool draining_ = false;
  bool finished_ = false;
};

}  // namespace
}  // namespace cloister

int main() {
  (void)::signal(SIGPIPE, SIG_IGN);
  cloister::FakeNode node;
  const cloister::Result<void> started = node.Start();
  if (!started.ok()) {
    (void)std::fprintf(stderr, "fake node: %s\n", started.error().message.c_str());
    return 1;
  }
  node.Run();
  return 0;
}
