#pragma once

// A connected byte stream (TCP or unix) on the loop.
//
// Writes are collected and leave at the end of the loop's turn, in one system call. What the peer
// does not take is kept; `pending()` says how much, and the handler hears OnDrained when it is all
// gone: the owner bounds what it writes. Destroying the Stream closes the descriptor and drops what
// is pending. The handler's calls may destroy the Stream.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "apis/base/unique_fd.h"
#include "daemon/loop/fd_watch.h"
#include "daemon/loop/loop.h"

namespace cloister {

class Stream : private FdWatch::Handler, private TurnTask {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    // Bytes arrived; the view is gone after the call.
    virtual void OnData(std::string_view bytes) = 0;
    // The peer closed its side, or the stream broke (then nothing can be written any more). A peer
    // of a unix socket that is gone has broken it.
    virtual void OnEnd(bool broken) = 0;
    // Everything written has been handed to the kernel.
    virtual void OnDrained() {}
  };

  Stream(Loop& loop, UniqueFd fd, Handler& handler);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() override;

  // Reading starts off.
  void ReadStart();
  void ReadStop();
  void Write(std::string_view bytes);
  // Sends of `bytes`, from where they are, what the peer takes now: at most kNowMax, so that others
  // have their turn. Of what is left the first `keep` bytes become pending. How many are not the
  // caller's any more.
  std::size_t SendNow(std::string_view bytes, std::size_t keep);
  // Sends what is pending now instead of at the end of the turn.
  void Flush();
  // Ends our side once everything pending has left.
  void ShutdownWrite();

  std::size_t pending() const { return out_.size() - out_sent_; }
  // Bytes that the kernel took since the beginning.
  std::uint64_t sent() const { return sent_; }
  // Where to append bytes directly; call Touch() afterwards. Spares a copy on the hot path.
  std::string& out() {
    if (out_.empty() && out_.capacity() <= kNoCapacity)
      out_ = loop_.TakeBuffer();
    return out_;
  }
  void Touch();

  int fd() const { return fd_.get(); }
  // Gives the descriptor away; nothing may be pending. The Stream is dead afterwards: no call of
  // the handler comes.
  UniqueFd Release();

 private:
  // Of a string that has no memory of its own.
  static constexpr std::size_t kNoCapacity = 15;
  static constexpr std::size_t kNowMax = std::size_t{1} << 20;

  void OnReadable() override;
  void OnWritable() override;
  void OnTurnEnd() override;
  // How many of `bytes` the peer took; it takes no more now, if that is not all.
  std::size_t Send(std::string_view bytes);
  void Break();
  void UpdateWatch();

  Loop& loop_;
  UniqueFd fd_;
  Stream::Handler& handler_;
  std::optional<FdWatch> watch_;
  std::string out_;  // of the loop's spare buffers; given back when all has left
  std::size_t out_sent_ = 0;
  std::uint64_t sent_ = 0;
  bool reading_ = false;
  bool broken_ = false;
  bool blocked_ = false;  // the kernel took less than we had
  bool shutdown_wanted_ = false;
};

}  // namespace cloister
