#pragma once

// Bytes of a connection that were read and are not used yet. Empty, it holds no memory: the buffer
// is one of the loop's spare ones.

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "daemon/loop/loop.h"

namespace cloister {

class ReadAhead {
 public:
  explicit ReadAhead(Loop& loop) : loop_(loop) {}

  std::string_view view() const { return std::string_view(bytes_).substr(begin_); }
  std::size_t size() const { return bytes_.size() - begin_; }
  bool empty() const { return size() == 0; }

  // Invalidates view().
  void Append(std::string_view bytes) {
    if (bytes_.empty())
      bytes_ = loop_.TakeBuffer();
    if (begin_ > bytes_.size() / 2) {
      bytes_.erase(0, begin_);
      begin_ = 0;
    }
    bytes_ += bytes;
  }
  // Drops all but the last `rest` bytes.
  void KeepLast(std::size_t rest) {
    begin_ = bytes_.size() - rest;
    if (rest > 0)
      return;
    loop_.GiveBuffer(std::exchange(bytes_, {}));
    begin_ = 0;
  }

 private:
  Loop& loop_;
  std::string bytes_;
  std::size_t begin_ = 0;
};

}  // namespace cloister
