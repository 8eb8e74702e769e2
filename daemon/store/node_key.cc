#include "daemon/store/node_key.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "apis/base/directories.h"
#include "apis/base/log.h"

namespace cloister {
namespace {

// More than a key has: what is longer is none.
constexpr std::size_t kReadMax = SealKey::kSize + 1;

Result<SecretText> ReadKey(int fd) {
  SecretText bytes(std::string(kReadMax, '\0'));
  std::size_t got = 0;
  while (got < kReadMax) {
    const ssize_t count =
        ::pread(fd, bytes.text().data() + got, kReadMax - got, static_cast<off_t>(got));
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return SystemError("reading the node's key");
    if (count == 0)
      break;
    got += static_cast<std::size_t>(count);
  }
  bytes.text().resize(got);
  return bytes;
}

Result<void> WriteKey(int fd, std::string_view bytes) {
  if (::write(fd, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    return SystemError("writing the node's key");
  if (::fsync(fd) != 0)
    return SystemError("writing the node's key");
  return {};
}

}  // namespace

NodeKey::NodeKey(const std::string& state_directory, UniqueFd credential)
    : directory_(state_directory), credential_(std::move(credential)) {}

Result<std::shared_ptr<const SealKey>> NodeKey::Load() {
  if (key_ != nullptr)
    return key_;
  const std::string path = directory_ + "/" + std::string(kNodeKeyFile);
  UniqueFd file;
  if (!credential_.valid()) {
    file = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file.valid())
      return SystemError("opening " + path);
    struct stat status = {};
    if (::fstat(file.get(), &status) != 0)
      return SystemError("opening " + path);
    if ((status.st_mode & 077U) != 0)
      Log(LogLevel::kWarning, "node_key_open",
          {{"path", path}, {"why", "others than its owner may read it: chmod 600"}});
  }
  const SecretText bytes = TRY(ReadKey(credential_.valid() ? credential_.get() : file.get()));
  Result<SealKey> key = SealKey::FromBytes(bytes.text());
  if (!key.ok())
    return std::move(key).error().In(credential_.valid() ? "the credential cloister-node-key"
                                                         : path);
  key_ = std::make_shared<const SealKey>(std::move(key).value());
  return key_;
}

// Whole or not at all under its name: a crash leaves at most the file beside it, which the next
// time replaces.
Result<std::shared_ptr<const SealKey>> NodeKey::Create() {
  const std::string path = directory_ + "/" + std::string(kNodeKeyFile);
  const std::string made = path + ".new";
  SealKey key = SealKey::Generate();
  if (::unlink(made.c_str()) != 0 && errno != ENOENT)
    return SystemError("removing " + made);
  const UniqueFd file(
      ::open(made.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.valid())
    return SystemError("making " + made);
  TRY(WriteKey(file.get(), key.bytes()));
  // link() and not rename(): it replaces nothing.
  if (::link(made.c_str(), path.c_str()) != 0)
    return SystemError("making " + path);
  (void)::unlink(made.c_str());
  TRY(SyncDirectory(directory_));
  Log(LogLevel::kInfo, "node_key_made", {{"path", path}, {"id", key.id()}});
  key_ = std::make_shared<const SealKey>(std::move(key));
  return key_;
}

Result<std::shared_ptr<const SealKey>> NodeKey::ForSealing() {
  const std::scoped_lock lock(mutex_);
  Result<std::shared_ptr<const SealKey>> key = Load();
  if (key.ok() || key.error().code != ErrorCode::kNotFound)
    return key;
  return Create();
}

Result<std::shared_ptr<const SealKey>> NodeKey::ForOpening(std::string_view id) {
  const std::scoped_lock lock(mutex_);
  Result<std::shared_ptr<const SealKey>> key = Load();
  if (!key.ok() && key.error().code == ErrorCode::kNotFound)
    return Error{ErrorCode::kNotFound, "secrets are sealed with the node's key " + std::string(id) +
                                           ", and there is no " + directory_ + "/" +
                                           std::string(kNodeKeyFile) +
                                           ": put it back from where it is kept, or set the "
                                           "secrets again"};
  if (!key.ok())
    return key;
  if (key.value()->id() != id)
    return Error{ErrorCode::kInvalidArgument,
                 "secrets are sealed with the node's key " + std::string(id) +
                     ", and the key here "
                     "is " +
                     key.value()->id() +
                     ": put the right one in its place and restart, or set the secrets again"};
  return key;
}

}  // namespace cloister
