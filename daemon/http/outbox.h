#pragma once

// What waits for one client: up to 1 MiB in memory, then a file, then "full".
//
// Each may keep 64 KiB in memory. More comes out of a budget of the app and of all, so that clients
// who do not read cannot fill the memory of the node; without it the file begins there.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "daemon/http/connection_context.h"
#include "daemon/http/spool.h"
#include "daemon/loop/stream.h"

namespace cloister {

class Outbox {
 public:
  Outbox(Stream& stream, ConnectionContext& context) : stream_(stream), context_(context) {}
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;
  ~Outbox() { GiveMemory(); }

  // Whose share of memory and files the next response takes. The one before is not in a file any
  // more.
  void SetAccount(std::uint64_t account);
  // Takes all of `bytes`. False: no more, please, until there is room again.
  bool Append(std::string_view bytes);
  // To be called when the kernel took all that was in memory: brings more from the file. False when
  // the file cannot be read: the response is lost.
  bool Refill();

  bool in_memory() const { return spool_ == nullptr && overflow_.empty(); }
  bool empty() const { return stream_.pending() == 0 && in_memory(); }
  // Whether a writer that was told to wait may go on: the file is gone, so its space is used anew.
  bool has_room() const {
    return in_memory() && stream_.pending() <= settings().response_memory_max.count / 2;
  }

 private:
  const ServerSettings& settings() const { return context_.settings; }
  // How much may be in memory when there is a use for `wanted`.
  std::uint64_t TakeMemory(std::uint64_t wanted);
  void GiveMemory();
  bool AppendToSpool(std::string_view bytes);

  Stream& stream_;
  ConnectionContext& context_;
  std::uint64_t account_ = 0;
  std::uint64_t memory_taken_ = 0;  // of the budget
  std::unique_ptr<Spool> spool_;    // null: nothing is in a file
  std::string overflow_;            // what the file did not take; behind it
};

}  // namespace cloister
