#pragma once

// Tells when a descriptor is readable or writable. Level-triggered. Destroying it stops it.
//
// Borrows the descriptor, which must stay open until the FdWatch is gone. The callbacks may destroy
// this FdWatch.

#include <functional>
#include <memory>

#include "daemon/loop/loop.h"

namespace cloister {

class FdWatch {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnReadable() = 0;
    virtual void OnWritable() {}
  };

  // `handler` must outlive this. The descriptor becomes non-blocking.
  FdWatch(Loop& loop, int fd, Handler& handler);

  void Watch(bool readable, bool writable);

 private:
  struct State;
  struct Closer {
    void operator()(State* state) const;
  };
  std::unique_ptr<State, Closer> state_;
};

}  // namespace cloister
