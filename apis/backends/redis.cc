#include "apis/backends/redis.h"

#include <hiredis/hiredis.h>
#include <uv.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cstring>
#include <deque>
#include <random>
#include <utility>
#include <vector>

#include "apis/base/check.h"

namespace cloister {
namespace {

constexpr std::size_t kReadSize = std::size_t{64} * 1024;
constexpr std::size_t kShownOfError = 200;
// An answer that is late is looked for once more: it may lie in the socket while the loop was busy.
constexpr Millis kLastLook{5};

Error UvError(std::string_view doing, int status) {
  return Error{ErrorCode::kUnavailable, std::string(doing) + ": " + uv_strerror(status)};
}

Error ProtocolError(std::string_view what) {
  return Error{ErrorCode::kProtocol, std::string(what.substr(0, kShownOfError))};
}

void AppendNumber(std::string& out, char mark, std::size_t number) {
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  out += mark;
  out.append(digits.data(), end.ptr);
  out += "\r\n";
}

// The wire form of a command: a list of byte strings.
void AppendCommand(std::string& out, std::span<const std::string_view> arguments) {
  AppendNumber(out, '*', arguments.size());
  for (const std::string_view argument : arguments) {
    AppendNumber(out, '$', argument.size());
    (out += argument) += "\r\n";
  }
}

// hiredis' way to make answers, with a limit on lists: it would reserve room for what a head
// claims.
class Answers {
 public:
  explicit Answers(std::size_t elements_max)
      : elements_max_(elements_max), reader_(redisReaderCreate()) {
    CHECK(reader_ != nullptr);
    make_array_ = reader_->fn->createArray;
    functions_ = *reader_->fn;
    functions_.createArray = &CreateArray;
    reader_->fn = &functions_;
    reader_->privdata = this;
  }
  Answers(const Answers&) = delete;
  Answers& operator=(const Answers&) = delete;
  ~Answers() { redisReaderFree(reader_); }

  // Bytes of the answer that is not whole yet.
  std::size_t unfinished() const { return unfinished_; }
  bool Feed(const char* bytes, std::size_t size) {
    unfinished_ += size;
    return redisReaderFeed(reader_, bytes, size) == REDIS_OK;
  }
  struct Free {
    void operator()(redisReply* reply) const { freeReplyObject(reply); }
  };
  using OwnReply = std::unique_ptr<redisReply, Free>;
  // The next whole answer; null when there is none yet.
  Result<OwnReply> Next() {
    void* reply = nullptr;
    if (redisReaderGetReply(reader_, &reply) != REDIS_OK)
      return ProtocolError(static_cast<const char*>(reader_->errstr));
    if (reply != nullptr) {
      unfinished_ = reader_->len - reader_->pos;
      elements_ = 0;
    }
    return OwnReply(static_cast<redisReply*>(reply));
  }

 private:
  static void* CreateArray(const redisReadTask* task, int elements) {
    auto* self = static_cast<Answers*>(task->privdata);
    if (elements < 0 || static_cast<std::size_t>(elements) > self->elements_max_ - self->elements_)
      return nullptr;
    self->elements_ += static_cast<std::size_t>(elements);
    return self->make_array_(task, elements);
  }

  std::size_t elements_max_;
  std::size_t elements_ = 0;  // of the lists of the answer that is not whole yet
  std::size_t unfinished_ = 0;
  redisReader* reader_;
  void* (*make_array_)(const redisReadTask*, int) = nullptr;
  redisReplyObjectFunctions functions_ = {};
};

// A one-shot timer; its owner closes it.
class OneShot {
 public:
  OneShot(uv_loop_t* loop, void* data) : handle_(new uv_timer_t{}) {
    CHECK(uv_timer_init(loop, handle_) == 0);
    handle_->data = data;
  }
  OneShot(const OneShot&) = delete;
  OneShot& operator=(const OneShot&) = delete;
  ~OneShot() {
    uv_close(reinterpret_cast<uv_handle_t*>(handle_),
             [](uv_handle_t* handle) { delete reinterpret_cast<uv_timer_t*>(handle); });
  }
  void Start(Millis delay, uv_timer_cb callback) {
    uv_timer_start(handle_, callback,
                   static_cast<std::uint64_t>(std::max(delay, Millis{1}).count()), 0);
  }
  void Stop() { uv_timer_stop(handle_); }
  bool active() const { return uv_is_active(reinterpret_cast<const uv_handle_t*>(handle_)) != 0; }

 private:
  uv_timer_t* handle_;
};

}  // namespace

RedisReply::Kind RedisReply::kind() const {
  switch (reply_->type) {
    case REDIS_REPLY_INTEGER:
      return Kind::kInteger;
    case REDIS_REPLY_STRING:
      return Kind::kText;
    case REDIS_REPLY_STATUS:
      return Kind::kStatus;
    case REDIS_REPLY_ARRAY:
      return Kind::kList;
    case REDIS_REPLY_NIL:
      return Kind::kNil;
    default:
      return Kind::kError;
  }
}

std::int64_t RedisReply::integer() const {
  return is(Kind::kInteger) ? reply_->integer : 0;
}

std::string_view RedisReply::text() const {
  return reply_->str == nullptr ? std::string_view() : std::string_view(reply_->str, reply_->len);
}

std::size_t RedisReply::size() const {
  return is(Kind::kList) ? reply_->elements : 0;
}

RedisReply RedisReply::at(std::size_t index) const {
  CHECK(index < size());
  return RedisReply(*reply_->element[index]);
}

// The socket of one attempt. Closing is asynchronous, so it outlives the attempt: `owner` is null
// from then on.
struct RedisSocket {
  union {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_pipe_t pipe;
    uv_tcp_t tcp;
  };
  void* owner = nullptr;
  uv_connect_t connecting = {};

  RedisSocket() : pipe() {}
};

class Redis::Impl {
 public:
  Impl(uv_loop_t* loop, RedisOptions options, Handler& handler)
      : loop_(loop),
        options_(std::move(options)),
        handler_(handler),
        phase_timer_(loop, this),
        deadline_timer_(loop, this),
        random_(std::random_device{}()),
        retry_(options_.retry_first) {
    CHECK(options_.at_turn_end != nullptr);
    Connect();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { CloseSocket(); }

  bool Send(std::uint64_t tag, std::span<const std::string_view> arguments) {
    if (phase_ != Phase::kUp || !Enqueue({.tag = tag}, arguments)) {
      ++counters_.refused;
      return false;
    }
    ++counters_.sent;
    return true;
  }

  bool connected() const { return phase_ == Phase::kUp; }
  const std::string& trouble() const { return trouble_; }
  const RedisCounters& counters() const { return counters_; }

 private:
  // Waiting for the next attempt; looking up the host; connecting; logging in; taking commands.
  enum class Phase { kWaiting, kResolving, kConnecting, kGreeting, kUp };

  struct Waiting {
    std::uint64_t tag = 0;
    bool greeting = false;
    std::size_t bytes = 0;
    std::uint64_t deadline = 0;  // the loop's milliseconds
  };
  struct Lookup {
    uv_getaddrinfo_t request = {};
    Impl* owner = nullptr;
  };
  struct Writing {
    uv_write_t request = {};
    std::string bytes;
  };

  void Connect() {
    phase_timer_.Start(options_.connect_timeout, [](uv_timer_t* timer) noexcept {
      static_cast<Impl*>(timer->data)->OnPhaseTimer();
    });
    if (options_.address.path.empty())
      return Resolve();
    OpenSocket();
    uv_pipe_init(loop_, &socket_->pipe, 0);
    socket_->handle.data = socket_;
    phase_ = Phase::kConnecting;
    uv_pipe_connect(&socket_->connecting, &socket_->pipe, options_.address.path.c_str(),
                    &OnSocketConnected);
  }

  void Resolve() {
    phase_ = Phase::kResolving;
    lookup_ = new Lookup{.owner = this};
    lookup_->request.data = lookup_;
    addrinfo hints = {};
    hints.ai_socktype = SOCK_STREAM;
    const std::string port = std::to_string(options_.address.port);
    const int begun = uv_getaddrinfo(loop_, &lookup_->request, &OnResolved,
                                     options_.address.host.c_str(), port.c_str(), &hints);
    if (begun == 0)
      return;
    delete std::exchange(lookup_, nullptr);
    Drop(UvError("looking up " + options_.address.host, begun));
  }

  static void OnResolved(uv_getaddrinfo_t* request, int status, addrinfo* found) noexcept {
    const std::unique_ptr<Lookup> lookup(static_cast<Lookup*>(request->data));
    if (Impl* self = lookup->owner; self != nullptr) {
      self->lookup_ = nullptr;
      if (status == 0)
        self->ConnectTo(self->NextOf(*found));
      else
        self->Drop(UvError("looking up " + self->options_.address.host, status));
    }
    uv_freeaddrinfo(found);
  }

  // Of the addresses of the host, another one with each attempt.
  const addrinfo& NextOf(const addrinfo& found) {
    std::size_t count = 0;
    for (const addrinfo* each = &found; each != nullptr; each = each->ai_next)
      ++count;
    const addrinfo* chosen = &found;
    for (std::size_t skip = lookups_++ % count; skip > 0; --skip)
      chosen = chosen->ai_next;
    return *chosen;
  }

  void ConnectTo(const addrinfo& found) {
    OpenSocket();
    uv_tcp_init(loop_, &socket_->tcp);
    socket_->handle.data = socket_;
    uv_tcp_nodelay(&socket_->tcp, 1);
    phase_ = Phase::kConnecting;
    const int begun =
        uv_tcp_connect(&socket_->connecting, &socket_->tcp, found.ai_addr, &OnSocketConnected);
    if (begun != 0)
      Drop(UvError("connecting", begun));
  }

  void OpenSocket() {
    socket_ = std::make_unique<RedisSocket>().release();
    socket_->owner = this;
  }

  static Impl* OwnerOf(const uv_handle_t* handle) {
    return static_cast<Impl*>(static_cast<RedisSocket*>(handle->data)->owner);
  }

  static void OnSocketConnected(uv_connect_t* request, int status) noexcept {
    Impl* self = OwnerOf(reinterpret_cast<const uv_handle_t*>(request->handle));
    if (self != nullptr)
      self->OnConnected(status);
  }

  void OnConnected(int status) {
    if (status != 0)
      return Drop(UvError("connecting", status));
    answers_ = std::make_unique<Answers>(options_.elements_max);
    const int reading = uv_read_start(
        &socket_->stream,
        [](uv_handle_t* /*handle*/, std::size_t /*size*/, uv_buf_t* buffer) noexcept {
          // One for all connections: the loop is one thread and the bytes are copied at once.
          static thread_local std::array<char, kReadSize> bytes;
          *buffer = uv_buf_init(bytes.data(), static_cast<unsigned>(bytes.size()));
        },
        [](uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) noexcept {
          Impl* self = OwnerOf(reinterpret_cast<const uv_handle_t*>(stream));
          if (self != nullptr)
            self->OnRead(size, buffer->base);
        });
    if (reading != 0)
      return Drop(UvError("reading", reading));
    phase_ = Phase::kGreeting;
    Greet();
  }

  // Logs in and selects the database; the last one shows that the server is there for us.
  void Greet() {
    const RedisAddress& address = options_.address;
    const std::string database = std::to_string(address.database);
    if (!address.user.empty())
      Enqueue({.greeting = true}, {{"AUTH", address.user, address.password}});
    else if (!address.password.empty())
      Enqueue({.greeting = true}, {{"AUTH", address.password}});
    if (address.database != 0)
      Enqueue({.greeting = true}, {{"SELECT", database}});
    Enqueue({.greeting = true}, {{"PING"}});
  }

  void OnGreeted(const redisReply& reply) {
    if (reply.type == REDIS_REPLY_ERROR)
      return Drop(Error{ErrorCode::kPermissionDenied,
                        "the server refuses us: " +
                            std::string(RedisReply(reply).text().substr(0, kShownOfError))});
    if (!waiting_.empty())
      return;
    phase_ = Phase::kUp;
    phase_timer_.Stop();
    retry_ = options_.retry_first;
    trouble_.clear();
    ++counters_.connected;
    handler_.OnConnected();
  }

  bool Enqueue(Waiting waiting, std::initializer_list<std::string_view> arguments) {
    return Enqueue(waiting, std::span(arguments.begin(), arguments.size()));
  }
  bool Enqueue(Waiting waiting, std::span<const std::string_view> arguments) {
    for (const std::string_view argument : arguments)
      waiting.bytes += argument.size();
    if (waiting_.size() >= options_.commands_max ||
        waiting_bytes_ + waiting.bytes > options_.bytes_max.count)
      return false;
    waiting.deadline = uv_now(loop_) + static_cast<std::uint64_t>(options_.command_timeout.count());
    waiting_bytes_ += waiting.bytes;
    waiting_.push_back(waiting);
    AppendCommand(out_, arguments);
    if (!deadline_timer_.active())
      StartDeadline(options_.command_timeout);
    ScheduleWrite();
    return true;
  }

  void ScheduleWrite() {
    if (std::exchange(write_scheduled_, true))
      return;
    options_.at_turn_end([alive = std::weak_ptr<bool>(alive_), this] {
      if (alive.expired())
        return;
      write_scheduled_ = false;
      Write();
    });
  }

  void Write() {
    if (socket_ == nullptr || out_.empty() || writing_)
      return;
    uv_buf_t buffer = uv_buf_init(
        out_.data(), static_cast<unsigned>(std::min<std::size_t>(out_.size(), INT_MAX)));
    const int written = uv_try_write(&socket_->stream, &buffer, 1);
    if (written < 0 && written != UV_EAGAIN)
      return Drop(UvError("writing", written));
    const auto taken = static_cast<std::size_t>(std::max(written, 0));
    if (taken == out_.size()) {
      out_.clear();
      return;
    }
    Writing* rest = std::make_unique<Writing>().release();
    rest->bytes.swap(out_);
    rest->request.data = rest;
    buffer =
        uv_buf_init(rest->bytes.data() + taken, static_cast<unsigned>(rest->bytes.size() - taken));
    const int begun = uv_write(
        &rest->request, &socket_->stream, &buffer, 1, [](uv_write_t* request, int status) noexcept {
          const std::unique_ptr<Writing> done(static_cast<Writing*>(request->data));
          Impl* self = OwnerOf(reinterpret_cast<const uv_handle_t*>(request->handle));
          if (self != nullptr)
            self->OnWritten(status);
        });
    if (begun != 0) {
      const std::unique_ptr<Writing> failed(rest);
      return Drop(UvError("writing", begun));
    }
    writing_ = true;
  }

  void OnWritten(int status) {
    writing_ = false;
    if (status != 0)
      return Drop(UvError("writing", status));
    Write();
  }

  void OnRead(ssize_t size, const char* bytes) {
    if (size < 0)
      return Drop(size == UV_EOF
                      ? Error{ErrorCode::kUnavailable, "the server closed the connection"}
                      : UvError("reading", static_cast<int>(size)));
    const auto count = static_cast<std::size_t>(size);
    if (answers_->unfinished() + count > options_.reply_max.count)
      return Drop(ProtocolError("an answer that is larger than any may be"));
    if (!answers_->Feed(bytes, count))
      return Drop(ProtocolError("no memory for an answer"));
    // Callbacks may send, but only we drop the connection.
    while (answers_ != nullptr) {
      Result<Answers::OwnReply> next = answers_->Next();
      if (!next.ok())
        return Drop(std::move(next).error());
      if (next.value() == nullptr)
        return;
      if (waiting_.empty())
        return Drop(ProtocolError("an answer to what nobody asked"));
      Dispatch(*next.value());
    }
  }

  void Dispatch(const redisReply& reply) {
    const Waiting waiting = waiting_.front();
    waiting_.pop_front();
    waiting_bytes_ -= waiting.bytes;
    if (waiting.greeting)
      return OnGreeted(reply);
    ++counters_.answered;
    handler_.OnReply(waiting.tag, RedisReply(reply));
  }

  void OnPhaseTimer() {
    if (phase_ == Phase::kWaiting)
      return Connect();
    Drop(Error{ErrorCode::kDeadlineExceeded, "the server does not accept us in time"});
  }

  void StartDeadline(Millis delay) {
    deadline_timer_.Start(
        delay, [](uv_timer_t* timer) noexcept { static_cast<Impl*>(timer->data)->OnDeadline(); });
  }

  // Answers come in order, so the first that waits has the first deadline.
  void OnDeadline() {
    if (waiting_.empty()) {
      last_look_ = false;
      return;
    }
    const std::uint64_t now = uv_now(loop_);
    const std::uint64_t deadline = waiting_.front().deadline;
    if (deadline > now) {
      last_look_ = false;
      return StartDeadline(Millis(static_cast<std::int64_t>(deadline - now)));
    }
    if (!std::exchange(last_look_, true))
      return StartDeadline(kLastLook);
    Drop(Error{ErrorCode::kDeadlineExceeded, "the server does not answer in time"});
  }

  // Ends the connection, or the attempt, and plans the next one.
  void Drop(const Error& why) {
    const bool was_up = phase_ == Phase::kUp;
    CloseSocket();
    trouble_ = why.message;
    phase_ = Phase::kWaiting;
    deadline_timer_.Stop();
    last_look_ = false;
    PlanRetry();
    std::deque<Waiting> lost;
    lost.swap(waiting_);
    waiting_bytes_ = 0;
    if (was_up)
      handler_.OnDisconnected(why);
    else
      handler_.OnNotConnected(why);
    for (const Waiting& each : lost) {
      if (each.greeting)
        continue;
      ++counters_.lost;
      handler_.OnLost(each.tag);
    }
  }

  void PlanRetry() {
    std::uniform_int_distribution<Millis::rep> part(retry_.count() / 2, retry_.count());
    phase_timer_.Start(Millis(part(random_)), [](uv_timer_t* timer) noexcept {
      static_cast<Impl*>(timer->data)->OnPhaseTimer();
    });
    retry_ = std::min(retry_ * 2, options_.retry_max);
  }

  void CloseSocket() {
    out_.clear();
    writing_ = false;
    answers_.reset();
    if (lookup_ != nullptr) {
      lookup_->owner = nullptr;
      (void)uv_cancel(reinterpret_cast<uv_req_t*>(&lookup_->request));
      lookup_ = nullptr;
    }
    if (socket_ == nullptr)
      return;
    socket_->owner = nullptr;
    uv_close(&std::exchange(socket_, nullptr)->handle, [](uv_handle_t* handle) {
      const std::unique_ptr<RedisSocket> last(static_cast<RedisSocket*>(handle->data));
    });
  }

  uv_loop_t* loop_;
  RedisOptions options_;
  Handler& handler_;
  OneShot phase_timer_;  // to the next attempt, or to the end of this one
  OneShot deadline_timer_;
  std::minstd_rand random_;
  Millis retry_;
  Phase phase_ = Phase::kWaiting;
  RedisSocket* socket_ = nullptr;  // frees itself once it is closed
  Lookup* lookup_ = nullptr;       // frees itself
  std::size_t lookups_ = 0;        // that found something
  std::unique_ptr<Answers> answers_;
  std::deque<Waiting> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::string out_;
  bool write_scheduled_ = false;
  bool writing_ = false;
  bool last_look_ = false;
  std::string trouble_;
  RedisCounters counters_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

Redis::Redis(uv_loop_t* loop, RedisOptions options, Handler& handler)
    : impl_(std::make_unique<Impl>(loop, std::move(options), handler)) {}

Redis::~Redis() = default;

bool Redis::Send(std::uint64_t tag, std::span<const std::string_view> arguments) {
  return impl_->Send(tag, arguments);
}

bool Redis::connected() const {
  return impl_->connected();
}

const std::string& Redis::trouble() const {
  return impl_->trouble();
}

const RedisCounters& Redis::counters() const {
  return impl_->counters();
}

}  // namespace cloister
