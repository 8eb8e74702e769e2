#pragma once

// Ctrl-C as something to be waited for, instead of the end of the process.

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"

namespace cloister {

class Interrupts {
 public:
  // From now on SIGINT ends nothing.
  static Result<Interrupts> Catch();

  // Readable when one has come.
  int fd() const { return fd_.get(); }
  // Whether one has come since this was asked last.
  bool Take();

 private:
  explicit Interrupts(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace cloister
