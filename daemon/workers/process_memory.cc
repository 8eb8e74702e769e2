#include "daemon/workers/process_memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>

#include "apis/base/unique_fd.h"

namespace cloister {
namespace {

// Takes the number at the front and the space behind it; 0 when there is none.
std::uint64_t TakeNumber(std::string_view& text) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const char* const stop = std::from_chars(text.data(), end, number).ptr;
  text.remove_prefix(std::min(text.size(), static_cast<std::size_t>(stop - text.data()) + 1));
  return number;
}

// What /proc/PID/statm has; zeros when the process is gone.
struct Pages {
  std::uint64_t resident = 0;
  std::uint64_t of_files = 0;
  std::uint64_t data = 0;
};

Pages PagesOf(std::uint32_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/statm";
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 256> buffer = {};
  const ssize_t size = file.valid() ? ::read(file.get(), buffer.data(), buffer.size()) : 0;
  if (size <= 0)
    return {};
  std::string_view text(buffer.data(), static_cast<std::size_t>(size));
  Pages pages;
  TakeNumber(text);  // of virtual pages
  pages.resident = TakeNumber(text);
  pages.of_files = TakeNumber(text);
  TakeNumber(text);  // of the program
  TakeNumber(text);  // unused
  pages.data = TakeNumber(text);
  return pages;
}

std::uint64_t PageSize() {
  static const auto kSize = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return kSize;
}

}  // namespace

Bytes AnonymousMemory(std::uint32_t pid) {
  const Pages pages = PagesOf(pid);
  return Bytes{(pages.resident - std::min(pages.resident, pages.of_files)) * PageSize()};
}

Bytes DataMemory(std::uint32_t pid) {
  return Bytes{PagesOf(pid).data * PageSize()};
}

void MeasureMemory(std::vector<WorkerInfo>& workers) {
  for (WorkerInfo& worker : workers)
    if (worker.pid != 0)
      worker.memory_bytes = AnonymousMemory(worker.pid).count;
}

}  // namespace cloister
