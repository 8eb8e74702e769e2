#include "daemon/http/outbox.h"

#include <algorithm>
#include <utility>

namespace cloister {
namespace {

// Brought from the file at a time.
constexpr std::size_t kRefillSize = 64 * 1024;
// In memory of each connection, whatever the budget.
constexpr std::uint64_t kFreeMemory = 64 * 1024;

}  // namespace

void Outbox::SetAccount(std::uint64_t account) {
  GiveMemory();
  account_ = account;
}

std::uint64_t Outbox::TakeMemory(std::uint64_t wanted) {
  const std::uint64_t most = settings().response_memory_max.count;
  if (most <= kFreeMemory)
    return most;
  if (memory_taken_ == 0 && wanted > kFreeMemory &&
      context_.memory_budget.Take(account_, most - kFreeMemory))
    memory_taken_ = most - kFreeMemory;
  return kFreeMemory + memory_taken_;
}

void Outbox::GiveMemory() {
  context_.memory_budget.Give(account_, std::exchange(memory_taken_, 0));
}

bool Outbox::Append(std::string_view bytes) {
  if (in_memory()) {
    const std::uint64_t memory_max = TakeMemory(stream_.pending() + bytes.size());
    // Much was written within one turn: the client may well take it now.
    if (stream_.pending() + bytes.size() > memory_max)
      stream_.Flush();
    // What is in memory is never nothing while something lies behind it: its end brings the rest.
    const std::size_t room = memory_max - std::min<std::size_t>(stream_.pending(), memory_max - 1);
    stream_.Write(bytes.substr(0, room));
    if (bytes.size() <= room)
      return true;
    bytes.remove_prefix(room);
  }
  if (overflow_.empty() && AppendToSpool(bytes))
    return spool_->size() <= settings().response_file_max.count;
  ++context_.counters.spool_failures;
  overflow_ += bytes;
  return false;
}

bool Outbox::AppendToSpool(std::string_view bytes) {
  if (spool_ == nullptr) {
    auto made = Spool::Create(settings().spool_dir, context_.spool_budget, account_);
    if (!made.ok())
      return false;
    spool_ = std::move(made).value();
    ++context_.counters.responses_in_files;
  }
  if (spool_->Append(bytes).ok())
    return true;
  if (spool_->unread() == 0)
    spool_.reset();
  return false;
}

bool Outbox::Refill() {
  if (spool_ != nullptr) {
    if (!spool_->Read(stream_.out(), kRefillSize).ok())
      return false;
    if (spool_->unread() == 0)
      spool_.reset();
  } else if (!overflow_.empty()) {
    stream_.out() += overflow_;
    overflow_ = {};
  }
  if (stream_.pending() > 0)
    stream_.Touch();
  else if (in_memory())
    GiveMemory();
  return true;
}

}  // namespace cloister
