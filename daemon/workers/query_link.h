#pragma once

// One worker's way to its app's query process: the far end of the worker's descriptor 4.
//
// The node holds it and looks whether something came, without reading it; then the process gets a
// duplicate and the node looks away. When that process dies, what was sent to it and back is thrown
// away, whole packets all of it, and the worker is told (kReset) to begin a new epoch. Owned by the
// Worker; runs on the loop thread.

#include <cstdint>
#include <memory>
#include <string>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "daemon/loop/fd_watch.h"
#include "daemon/loop/loop.h"

namespace cloister {

class QueryProcess;

class QueryLink : private FdWatch::Handler {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // What the worker sent to the process is what no honest one sends. May destroy the link.
    virtual void OnBadQuery(const Error& error) = 0;
    // The app is deleted, and with it the database. The link must be destroyed: a worker's is gone
    // by then.
    virtual void OnForgotten() {}
  };

  // `process` and `listener` must outlive it.
  QueryLink(Loop& loop, QueryProcess& process, UniqueFd far_end, std::uint64_t number,
            Listener& listener);
  QueryLink(const QueryLink&) = delete;
  QueryLink& operator=(const QueryLink&) = delete;
  ~QueryLink() override;

  int fd() const { return far_end_.get(); }
  std::uint64_t number() const { return number_; }
  std::uint32_t epoch() const { return epoch_; }
  bool attached() const { return attached_; }

  // From the process. It has the duplicate now.
  void OnAttached();
  // It is gone, after it had answered everything that it had read.
  void OnReleased();
  // It is gone, or cannot be had. `why` goes to the app.
  void OnLost(std::string why);
  void OnBroken();
  void OnForgotten() { listener_.OnForgotten(); }

 private:
  void OnReadable() override;
  void OnWritable() override;
  void Watch(bool readable, bool writable);
  void ThrowAway() const;

  Loop& loop_;
  QueryProcess& process_;
  UniqueFd far_end_;
  std::uint64_t number_;
  Listener& listener_;
  std::unique_ptr<FdWatch> watch_;
  std::uint32_t epoch_ = 1;
  bool attached_ = false;
  std::string reset_;  // a packet that the worker has no room for yet
};

}  // namespace cloister
