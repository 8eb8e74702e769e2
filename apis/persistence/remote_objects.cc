#include "apis/persistence/remote_objects.h"

#include <sys/random.h>

#include <algorithm>
#include <array>

#include "apis/base/check.h"
#include "apis/persistence/object_writer.h"

namespace cloister {
namespace {

constexpr std::size_t kHash = 32;

std::string Hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    hex += kDigits[static_cast<unsigned char>(c) >> 4U];
    hex += kDigits[static_cast<unsigned char>(c) & 0xfU];
  }
  return hex;
}

std::string KeyOf(AppId app, const Sha256& id, std::string_view mark) {
  return std::to_string(app.number) + "/" + id.Hex() + "-" + Hex(mark);
}

Error Damage(std::string what) {
  return Error{ErrorCode::kProtocol, std::move(what)};
}

// What a failure to read means for the object.
Error ReadError(Error error) {
  if (error.code == ErrorCode::kNotFound)
    return Damage("it is missing on the server of objects");
  return error;
}

}  // namespace

std::string NewRemoteMark() {
  std::array<char, kRemoteMark> bytes{};
  CHECK(::getrandom(bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  return {bytes.data(), bytes.size()};
}

std::string_view RemoteMarkIn(std::string_view chunks) {
  return chunks.size() % kHash == kRemoteMark ? chunks.substr(chunks.size() - kRemoteMark)
                                              : std::string_view();
}

Result<void> RemoteObjects::Put(AppId app, const RemoteObject& object, int file,
                                std::uint64_t size) {
  return server_.Put(KeyOf(app, object.id, object.mark),
                     {.file = file, .size = size, .sha256 = object.id});
}

Result<void> RemoteObjects::Remove(AppId app, const RemoteObject& object) {
  return server_.Remove(KeyOf(app, object.id, object.mark), object.unfinished
                                                                ? ObjectServer::Unfinished::kMaybe
                                                                : ObjectServer::Unfinished::kNo);
}

std::shared_ptr<const std::string> RemoteObjects::Find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end())
    return nullptr;
  kept_.splice(kept_.begin(), kept_, found->second);
  return kept_.front().bytes;
}

void RemoteObjects::Keep(const std::string& key, const std::shared_ptr<const std::string>& bytes) {
  const std::lock_guard lock(mutex_);
  if (by_key_.contains(key))
    return;
  kept_.push_front({.key = key, .bytes = bytes});
  by_key_[key] = kept_.begin();
  if (kept_.size() <= kChunksKept)
    return;
  by_key_.erase(kept_.back().key);
  kept_.pop_back();
}

Result<std::shared_ptr<const std::string>> RemoteObjects::ReadChunk(const std::string& key,
                                                                    const RemotePart& part,
                                                                    std::uint64_t chunk) {
  const std::uint64_t begin = chunk * kObjectChunk;
  const std::uint64_t size = std::min<std::uint64_t>(kObjectChunk, part.size - begin);
  Result<std::string> read = server_.Get(key, begin, size);
  if (!read.ok())
    return ReadError(std::move(read).error());
  const std::uint64_t first = part.offset / kObjectChunk;
  if (Sha256Of(read.value()).view() !=
      std::string_view(part.hashes).substr((chunk - first) * kHash, kHash))
    return Damage("its bytes from " + std::to_string(begin) + " to " +
                  std::to_string(begin + size) + " are not those that were written");
  return std::make_shared<const std::string>(std::move(read).value());
}

Result<std::shared_ptr<const std::string>> RemoteObjects::FindChunk(const std::string& key,
                                                                    const RemotePart& part,
                                                                    std::uint64_t chunk) {
  const std::string place = key + "/" + std::to_string(chunk);
  if (std::shared_ptr<const std::string> kept = Find(place))
    return kept;
  std::shared_ptr<const std::string> read = TRY(ReadChunk(key, part, chunk));
  Keep(place, read);
  return read;
}

Result<std::string> RemoteObjects::Read(AppId app, const RemotePart& part) {
  const std::string key = KeyOf(app, part.id, part.mark);
  const std::uint64_t end = part.offset + part.count;
  std::string bytes;
  for (std::uint64_t chunk = part.offset / kObjectChunk; chunk * kObjectChunk < end; ++chunk) {
    const auto whole = TRY(FindChunk(key, part, chunk));
    const std::uint64_t begin = std::max(part.offset, chunk * kObjectChunk) - chunk * kObjectChunk;
    const std::uint64_t stop = std::min<std::uint64_t>(end - chunk * kObjectChunk, whole->size());
    bytes.append(*whole, begin, stop - begin);
  }
  return bytes;
}

Result<void> RemoteObjects::Check(AppId app, const RemotePart& whole) {
  const std::string key = KeyOf(app, whole.id, whole.mark);
  Sha256Stream hash;
  for (std::uint64_t chunk = 0; chunk * kObjectChunk < whole.size; ++chunk)
    hash.Add(*TRY(ReadChunk(key, whole, chunk)));
  if (hash.Finish() != whole.id)
    return Damage("its bytes are not those that were written");
  return {};
}

}  // namespace cloister
