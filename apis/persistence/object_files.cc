#include "apis/persistence/object_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "apis/base/directories.h"
#include "apis/persistence/object_writer.h"

namespace cloister {
namespace {

constexpr std::size_t kHash = 32;
// Files whose sound chunks are remembered.
constexpr std::size_t kKnownMax = 1024;

std::string ObjectsDirectory(const std::string& directory) {
  return directory + "/objects";
}

Error Damage(std::string what) {
  return Error{ErrorCode::kProtocol, std::move(what)};
}

struct OpenObject {
  UniqueFd fd;
  struct stat status = {};
};

Result<OpenObject> OpenFile(const std::string& directory, const ObjectFileFacts& facts) {
  const std::string path = ObjectPath(directory, facts.id);
  OpenObject object{.fd = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)),
                    .status = {}};
  if (!object.fd.valid() && errno == ENOENT)
    return Damage("its file is missing");
  if (!object.fd.valid() || ::fstat(object.fd.get(), &object.status) != 0)
    return SystemError("opening " + path);
  if (static_cast<std::uint64_t>(object.status.st_size) != facts.size)
    return Damage("its file has " + std::to_string(object.status.st_size) + " bytes instead of " +
                  std::to_string(facts.size));
  if (facts.chunks.size() != (facts.size + kObjectChunk - 1) / kObjectChunk * kHash)
    return Damage("the hashes of its parts are not complete");
  return object;
}

Result<std::string> ReadAt(int fd, std::uint64_t offset, std::size_t count) {
  std::string bytes(count, '\0');
  std::size_t done = 0;
  while (done < count) {
    const ssize_t got =
        ::pread(fd, bytes.data() + done, count - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR)
      continue;
    // A disk that cannot read a sector.
    if (got < 0 && errno == EIO)
      return Damage("its file cannot be read");
    if (got < 0)
      return SystemError("reading an object");
    if (got == 0)
      return Damage("its file was cut off");
    done += static_cast<std::size_t>(got);
  }
  return bytes;
}

// Of a chunk that is read whole.
Result<std::string> ReadChunk(int fd, const ObjectFileFacts& facts, std::uint64_t chunk) {
  const std::uint64_t begin = chunk * kObjectChunk;
  const std::uint64_t size = std::min<std::uint64_t>(kObjectChunk, facts.size - begin);
  std::string bytes = TRY(ReadAt(fd, begin, size));
  if (Sha256Of(bytes).view() != facts.chunks.substr(chunk * kHash, kHash))
    return Damage("its bytes from " + std::to_string(begin) + " to " +
                  std::to_string(begin + size) + " are not those that were written");
  return bytes;
}

Result<void> SweepFolder(const std::filesystem::path& folder,
                         const std::function<Result<bool>(const Sha256&)>& wanted) {
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(folder, error)) {
    const std::optional<Sha256> id = Sha256::FromHex(file.path().filename().string());
    if (id && !TRY(wanted(*id)))
      ::unlink(file.path().c_str());
  }
  if (error)
    return SystemError("sweeping " + folder.string(), error.value());
  return {};
}

}  // namespace

std::string ObjectTemporaryDirectory(const std::string& directory) {
  return ObjectsDirectory(directory) + "/tmp";
}

std::string ObjectPath(const std::string& directory, const Sha256& id) {
  const std::string hex = id.Hex();
  return ObjectsDirectory(directory) + "/" + hex.substr(0, 2) + "/" + hex;
}

Result<void> MakeObjectDirectories(const std::string& directory) {
  // From the outermost one: `apps` is made by whoever keeps something of an app first.
  TRY(MakeDirectories(ObjectsDirectory(directory), 3));
  return MakeDirectories(ObjectTemporaryDirectory(directory), 1);
}

ObjectFiles::Known& ObjectFiles::KnownOf(const Sha256& id, const Identity& identity,
                                         std::size_t chunks) {
  const auto found = by_id_.find(id);
  if (found != by_id_.end()) {
    known_.splice(known_.begin(), known_, found->second);
    if (known_.front().identity != identity)
      known_.front() = {.id = id, .identity = identity, .sound = std::vector<bool>(chunks)};
    return known_.front();
  }
  if (known_.size() >= kKnownMax) {
    by_id_.erase(known_.back().id);
    known_.pop_back();
  }
  known_.push_front({.id = id, .identity = identity, .sound = std::vector<bool>(chunks)});
  by_id_[id] = known_.begin();
  return known_.front();
}

Result<std::string> ObjectFiles::Read(const std::string& directory, const ObjectFileFacts& facts,
                                      std::uint64_t offset, std::size_t count) {
  const OpenObject object = TRY(OpenFile(directory, facts));
  if (offset >= facts.size)
    return std::string();
  const std::uint64_t end = std::min<std::uint64_t>(facts.size, offset + count);
  const Identity identity{.inode = object.status.st_ino,
                          .changed_s = object.status.st_ctim.tv_sec,
                          .changed_ns = object.status.st_ctim.tv_nsec};
  Known& known = KnownOf(facts.id, identity, facts.chunks.size() / kHash);
  std::string bytes;
  for (std::uint64_t chunk = offset / kObjectChunk; chunk * kObjectChunk < end; ++chunk) {
    const std::uint64_t begin = std::max(offset, chunk * kObjectChunk);
    const std::uint64_t stop = std::min(end, (chunk + 1) * kObjectChunk);
    const bool sound = known.sound[chunk];
    // One that is not known to be sound is read whole.
    const std::string read = TRY(sound ? ReadAt(object.fd.get(), begin, stop - begin)
                                       : ReadChunk(object.fd.get(), facts, chunk));
    known.sound[chunk] = true;
    bytes.append(read, sound ? 0 : begin - chunk * kObjectChunk, stop - begin);
  }
  return bytes;
}

Result<void> CheckObjectFile(const std::string& directory, const ObjectFileFacts& facts) {
  const OpenObject object = TRY(OpenFile(directory, facts));
  Sha256Stream whole;
  for (std::uint64_t chunk = 0; chunk * kObjectChunk < facts.size; ++chunk)
    whole.Add(TRY(ReadChunk(object.fd.get(), facts, chunk)));
  if (whole.Finish() != facts.id)
    return Damage("its bytes are not those that were written");
  return {};
}

bool IsObjectBeingWritten(const std::string& directory, const std::string& name) {
  const std::string path = ObjectTemporaryDirectory(directory) + "/" + name;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  return fd.valid() && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0;
}

Result<void> SweepTemporaryObjects(const std::string& directory) {
  std::error_code error;
  const std::filesystem::path folder = ObjectTemporaryDirectory(directory);
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const UniqueFd fd(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    // One that is locked is being written, perhaps by the node process before this one.
    if (fd.valid() && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0)
      ::unlink(entry.path().c_str());
  }
  if (error && error != std::errc::no_such_file_or_directory)
    return SystemError("sweeping " + folder.string(), error.value());
  return {};
}

Result<void> SweepObjects(const std::string& directory,
                          const std::function<Result<bool>(const Sha256&)>& wanted) {
  std::error_code error;
  const std::filesystem::path folder = ObjectsDirectory(directory);
  for (const auto& part : std::filesystem::directory_iterator(folder, error))
    // What is no folder is not ours.
    if (part.path().filename() != "tmp" && part.is_directory(error))
      TRY(SweepFolder(part.path(), wanted));
  if (error && error != std::errc::no_such_file_or_directory)
    return SystemError("sweeping " + folder.string(), error.value());
  return {};
}

}  // namespace cloister
