#include "daemon/workers/inbox.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <new>
#include <utility>

#include "apis/wire/inbox_gone.h"

namespace cloister {

Result<Inbox> Inbox::Create() {
  Inbox inbox;
  inbox.fd_.Reset(::memfd_create("inbox", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!inbox.fd_.valid())
    return SystemError("memfd_create");
  if (::ftruncate(inbox.fd_.get(), static_cast<off_t>(kInboxPageSize)) != 0)
    return SystemError("ftruncate");
  // Not against writing: both sides write. Not more seals either: that would be the worker's.
  if (::fcntl(inbox.fd_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return SystemError("sealing the inbox");
  void* const memory =
      ::mmap(nullptr, kInboxPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, inbox.fd_.get(), 0);
  if (memory == MAP_FAILED)
    return SystemError("mmap");
  inbox.page_ = new (memory) InboxPage();
  return inbox;
}

Inbox::Inbox(Inbox&& other) noexcept
    : fd_(std::move(other.fd_)), page_(std::exchange(other.page_, nullptr)) {}

Inbox& Inbox::operator=(Inbox&& other) noexcept {
  if (this != &other) {
    Unmap();
    fd_ = std::move(other.fd_);
    page_ = std::exchange(other.page_, nullptr);
  }
  return *this;
}

Inbox::~Inbox() {
  Unmap();
}

void Inbox::Unmap() {
  if (page_ != nullptr)
    ::munmap(page_, kInboxPageSize);
  page_ = nullptr;
}

void Inbox::MarkGone(std::size_t slot, std::uint32_t id) {
  GoneOf(*page_).Mark(slot, id);
}

bool Inbox::IsOffered(std::size_t slot, std::uint32_t id) const {
  return page_->slots[slot].load(std::memory_order_acquire) ==
         InboxPage::Word(id, SlotState::kOffered);
}

bool Inbox::IsClaimed(std::size_t slot, std::uint32_t id) const {
  return page_->slots[slot].load(std::memory_order_acquire) ==
         InboxPage::Word(id, SlotState::kClaimed);
}

}  // namespace cloister
