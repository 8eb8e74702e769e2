#pragma once

// The node's end of a worker's channel: whole, checked frames in; bytes out once per loop turn.
//
// Gives a bounded number of frames a turn, fewer while many channels are busy, and none that is
// neither paid for nor within its app's budget: who sends very many tiny ones holds up nobody else.
// Runs on the loop thread. Must not be destroyed from within its handler's calls: Close() it there,
// after which no call comes.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "apis/base/unique_fd.h"
#include "apis/wire/frame.h"
#include "daemon/loop/loop.h"
#include "daemon/loop/stream.h"
#include "daemon/workers/loop_budget.h"

namespace cloister {

class FrameChannel : private Stream::Handler, private LoopAccount::Waiter {
 public:
  class Handler {
   public:
    Handler() = default;
    Handler(const Handler&) = delete;
    Handler& operator=(const Handler&) = delete;
    virtual ~Handler() = default;
    // The payload is gone after the call.
    virtual void OnFrame(const Frame& frame) = 0;
    // The whole frames of those that arrived together were given, or as many as one turn gives.
    virtual void OnBatchEnd() {}
    // The kernel has all that was appended.
    virtual void OnDrained() {}
    // What arrived is not frames. Nothing comes after this.
    virtual void OnGarbage(const Error& error) = 0;
    // The worker's end is closed and every frame that it sent was given; `in_frame`: it closed in
    // the middle of one. Nothing comes after this.
    virtual void OnClosed(bool in_frame) = 0;
  };

  // The most frames of one turn.
  static constexpr std::size_t kFramesPerTurn = 256;

  // `account`: of the worker's app; null: nothing is counted.
  FrameChannel(Loop& loop, UniqueFd fd, FrameChannel::Handler& handler,
               std::shared_ptr<LoopAccount> account = nullptr);
  FrameChannel(const FrameChannel&) = delete;
  FrameChannel& operator=(const FrameChannel&) = delete;
  ~FrameChannel() override;

  // Where to append frames (BeginFrame, FinishFrame); call Touch() afterwards.
  std::string& out() { return stream_->out(); }
  void Touch() { stream_->Touch(); }
  // The same for an answer to what just arrived: it is written when all that arrived with it is
  // given. The kernel wakes a peer that waits when its bytes are taken; so it finds the answer then
  // instead of going to sleep again.
  void TouchAnswer();
  void Append(FrameType type, std::uint8_t flags, std::uint32_t id, std::string_view payload);

  // Bytes that the kernel has no room for: the peer does not read.
  std::size_t pending() const { return stream_->pending(); }

  // Takes what the peer has sent so far and then its end: for when it is known to be gone.
  void TakeRest();
  // No call comes any more; the peer sees the end of the channel.
  void Close();

 private:
  // Why there may be whole frames that were not given.
  enum class Left {
    kNothing,   // there are none
    kNextTurn,  // this turn's part is used up
    kBudget,    // the app's budget is
  };

  void OnData(std::string_view bytes) override;
  void OnEnd(bool broken) override;
  void OnDrained() override {
    if (!closed_)
      handler_.OnDrained();
  }
  // Gives the frames that are whole with `bytes`, at most so many.
  void Take(std::string_view bytes, std::size_t frames_max);
  // Gives the whole frames at the front of `bytes`, at most so many; returns what is left.
  std::string_view GiveFrames(std::string_view bytes, std::size_t frames_max);
  // Takes what the frame costs, if it can wait and there is not as much.
  bool Pay(const Frame& frame, bool can_wait);
  std::size_t FramesOfTurn() const;
  // After a turn's share: nothing is read until all that was read is given.
  void Continue();
  // The next share of what was read already.
  void GoOn();
  void OnBudget() override { GoOn(); }
  bool HasRest() const { return rest_at_ < rest_.size(); }

  Loop& loop_;
  FrameChannel::Handler& handler_;
  std::unique_ptr<Stream> stream_;
  std::shared_ptr<LoopAccount> account_;
  std::optional<LoopAccount::Busy> busy_;  // while something is left for the next turn
  std::string rest_;  // from rest_at_ on the beginning of a frame; whole ones before it if left_
  std::size_t rest_at_ = 0;
  Left left_ = Left::kNothing;
  bool read_unpaid_ = false;  // nothing was taken yet for the last reading
  bool reading_ = true;
  bool closed_ = false;
  bool giving_ = false;
  bool answered_ = false;                // within giving_
  std::shared_ptr<FrameChannel*> self_;  // null inside once this is gone
};

}  // namespace cloister
