#pragma once

// One client connection: reads requests one after another, has each answered, then reads the next.
//
// Owned by its HttpServer; the state machine is in connection_state.h. Events (bytes, an answer, a
// time-out) move the machine; what may destroy things or call strangers waits for the end of the
// loop's turn. An idle connection holds no buffer: those of a request are in a RequestState, what
// waits for the client is in the Outbox.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "apis/base/unique_fd.h"
#include "daemon/http/connection_context.h"
#include "daemon/http/connection_state.h"
#include "daemon/http/message.h"
#include "daemon/http/outbox.h"
#include "daemon/http/read_ahead.h"
#include "daemon/http/request_reader.h"
#include "daemon/http/request_state.h"
#include "daemon/http/response_head.h"
#include "daemon/loop/stream.h"
#include "daemon/loop/timeout_queue.h"

namespace cloister {

class HttpConnection;

// A connection between two requests, on its way from one process to another. Of the next request a
// part may be here, or all of it, or several.
struct ReleasedConnection {
  UniqueFd fd;
  std::string read_ahead;
};

// Where its owner keeps a connection.
struct ConnectionPlace {
  std::size_t index = 0;
  std::optional<std::uint64_t> counted_by;  // the address, where its connections are counted
};

class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  // The connection is over. It may not be destroyed before the end of the turn.
  virtual void OnClosed(HttpConnection& connection) = 0;
  // While handing over: CanRelease() holds.
  virtual void OnReleasable(HttpConnection& connection) = 0;
};

class HttpConnection final : public Exchange,
                             private Stream::Handler,
                             private TurnTask,
                             private TimeoutEntry {
 public:
  HttpConnection(ConnectionContext& context, ConnectionOwner& owner, UniqueFd fd, HttpPeer peer);
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;
  ~HttpConnection() override;

  // Begins, at the end of the turn, with what was read of it already, then reads.
  void Start(std::string_view read_ahead);
  // The way in which the context drains is another: acts on it at the end of the turn.
  void OnDrainChanged();
  // Ends it whatever it is doing; an exchange's listener hears OnClientGone. An exchange without
  // one must not be touched any more.
  void Drop();
  // No request is decided, and nothing waits for the client.
  bool CanRelease() const;
  // Gives the socket away, and what was read ahead; CanRelease() must hold. The connection is over.
  ReleasedConnection Release();

  ConnectionState state() const { return state_; }
  const HttpPeer& peer() const { return peer_; }
  const ConnectionPlace& place() const { return place_; }
  void set_place(const ConnectionPlace& place) { place_ = place; }
  void set_index(std::size_t index) { place_.index = index; }

  // Exchange:
  HttpRequest& request() override { return request_->request; }
  ExchangeNotes& notes() override { return request_->notes; }
  void SetListener(ExchangeListener* listener) override { listener_ = listener; }
  using Exchange::Respond;
  void Respond(int status, std::span<const HttpHeader> headers, std::string_view body) override;
  void Begin(int status, std::string_view reason, std::span<const HttpHeader> headers,
             std::optional<std::uint64_t> length) override;
  bool Write(std::string_view bytes) override;
  bool WriteNow(std::string_view& rest) override;
  BodyFit Finish() override;
  void Abort() override;

 private:
  // Stream::Handler, TurnTask, TimeoutEntry:
  void OnData(std::string_view bytes) override;
  void OnEnd(bool broken) override;
  void OnDrained() override;
  void OnTurnEnd() override;
  void OnTimeout() override;

  void Enter(ConnectionState next);
  // Whether bytes are read as a request now: the machine is between requests or inside of one that
  // is being read. While handing over that is only one whose head was complete before.
  bool WantsInput() const {
    return state_ == ConnectionState::kBody ||
           (state_ < ConnectionState::kBody && !context_.hands_over());
  }
  bool InExchange() const {
    return state_ == ConnectionState::kHandling || state_ == ConnectionState::kResponding;
  }
  // Whether the client sent more than the request being answered.
  bool HasReadAhead() const;

  // Reading: takes what it can use off the front of `bytes`.
  void Advance(std::string_view& bytes);
  void BeginBody(bool body_is_here);
  void Dispatch();
  void AdvanceStored();
  void LimitReadAhead();
  void Discard(std::size_t size);
  void Refuse(const HttpRefusal& refusal);

  // Answering:
  void StartHead(const ResponseHeadFields& fields);
  bool AppendBody(std::string_view bytes);
  void EndResponse();
  void EndFlushing();
  void CheckBodyRate();
  void ArmReaderCheck();
  void CheckReader();
  std::uint64_t BytesTaken() const;
  void WriteAccess();

  void EndIfPeerEnded();
  void FollowDrain();
  void Close();

  ConnectionContext& context_;
  ConnectionOwner& owner_;
  Stream stream_;
  Outbox outbox_;
  HttpPeer peer_;
  ConnectionPlace place_;
  std::unique_ptr<RequestState> request_;  // from a complete head to the end of its answer
  ExchangeListener* listener_ = nullptr;

  RequestReader reader_;
  ReadAhead read_ahead_;
  MonotonicTime body_began_;
  std::uint64_t progress_mark_ = 0;  // what the client had taken when the window began
  std::size_t discarded_ = 0;

  ConnectionState state_ = ConnectionState::kIdle;
  bool advancing_ = false;     // inside of Advance(): a response is followed up there
  bool more_follows_ = false;  // inside of Advance(): there are bytes behind this request
  bool read_stopped_ = false;
  bool peer_ended_ = false;  // the client sends nothing more
  bool broken_ = false;      // to be closed at the end of the turn
  bool close_after_flush_ = false;
  bool linger_ = false;        // the client does not expect the close
  bool writer_waits_ = false;  // Write() said false
};

}  // namespace cloister
