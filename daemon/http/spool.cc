#include "daemon/http/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "apis/base/check.h"

namespace cloister {
namespace {

UniqueFd OpenUnnamed(const std::string& dir) {
  UniqueFd file(::open(dir.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file.valid() || (errno != EOPNOTSUPP && errno != EISDIR))
    return file;
  // A file system without O_TMPFILE: a name that is gone at once.
  std::string path = dir + "/spool-XXXXXX";
  file.Reset(::mkostemp(path.data(), O_CLOEXEC));
  if (file.valid())
    (void)::unlink(path.c_str());
  return file;
}

}  // namespace

Result<std::unique_ptr<Spool>> Spool::Create(const std::string& dir, ByteBudget& budget,
                                             std::uint64_t account) {
  UniqueFd file = OpenUnnamed(dir);
  if (!file.valid())
    return SystemError("making a spool file in " + dir);
  return CreateFor(std::move(file), budget, account);
}

std::unique_ptr<Spool> Spool::CreateFor(UniqueFd file, ByteBudget& budget, std::uint64_t account) {
  return std::unique_ptr<Spool>(new Spool(std::move(file), budget, account));
}

Result<void> Spool::Append(std::string_view bytes) {
  if (!budget_.Take(account_, bytes.size()))
    return Error{ErrorCode::kQuotaExceeded, "the spool files together are too large"};
  std::uint64_t written = 0;
  while (written < bytes.size()) {
    const ssize_t size = ::pwrite(file_.get(), bytes.data() + written, bytes.size() - written,
                                  static_cast<off_t>(size_ + written));
    if (size < 0 && errno == EINTR)
      continue;
    if (size < 0) {
      const int error = errno;
      budget_.Give(account_, bytes.size());
      return SystemError("writing a spool file", error);
    }
    written += static_cast<std::uint64_t>(size);
  }
  size_ += bytes.size();
  return {};
}

Result<void> Spool::Read(std::string& out, std::size_t max) {
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(max, unread()));
  const std::size_t before = out.size();
  out.resize(before + wanted);
  std::size_t done = 0;
  while (done < wanted) {
    const ssize_t size = ::pread(file_.get(), out.data() + before + done, wanted - done,
                                 static_cast<off_t>(read_ + done));
    if (size < 0 && errno == EINTR)
      continue;
    if (size <= 0) {
      const int error = size < 0 ? errno : EIO;
      out.resize(before);
      return SystemError("reading a spool file", error);
    }
    done += static_cast<std::size_t>(size);
  }
  read_ += wanted;
  return {};
}

}  // namespace cloister
