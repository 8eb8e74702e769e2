#pragma once

// The bytes of larger objects on a server (apis/backends/object_server.h), where the settings name
// one. Rows, names and totals stay in the app's database, which knows what is there.
//
// An object's key is "APP/ID-MARK": the number of its app, its id, and 16 bytes of chance in
// hexadecimal digits, which its row has. So no two writes have the same key: what is deleted is
// never what was written again meanwhile. Whatever is read is read in whole chunks, each of which
// is checked against its hash; the last ones are kept. Blocking, thread-safe.

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "apis/backends/object_server.h"
#include "apis/base/names.h"
#include "apis/base/result.h"
#include "apis/base/sha256.h"

namespace cloister {

// Of the bytes that end a key.
inline constexpr std::size_t kRemoteMark = 16;
// Another one each time.
std::string NewRemoteMark();
// What a row's hashes of chunks, 32 bytes each, end with; empty: no server has the object.
std::string_view RemoteMarkIn(std::string_view chunks);

// One object that a server has, or may have a part of.
struct RemoteObject {
  Sha256 id;
  std::string mark;
  // Its upload was broken off, perhaps; else it was deleted.
  bool unfinished = false;
};

// A part of an object that a server has: what it takes to read and check it.
struct RemotePart {
  Sha256 id;
  std::string mark;
  std::uint64_t size = 0;  // of the object
  std::uint64_t offset = 0;
  std::uint64_t count = 0;  // at least 1, and within the object
  std::string hashes = {};  // of the chunks that it touches
};

class RemoteObjects {
 public:
  // Of chunks that were read last.
  static constexpr std::size_t kChunksKept = 32;

  explicit RemoteObjects(ObjectServer& server) : server_(server) {}
  RemoteObjects(const RemoteObjects&) = delete;
  RemoteObjects& operator=(const RemoteObjects&) = delete;
  ~RemoteObjects() = default;

  // Errors: kUnavailable, as of the server.
  Result<void> Put(AppId app, const RemoteObject& object, int file, std::uint64_t size);
  // kProtocol: it is missing there, or not what was written.
  Result<std::string> Read(AppId app, const RemotePart& part);
  // The whole of it, against its hashes and its id; nothing is kept. kProtocol as Read.
  Result<void> Check(AppId app, const RemotePart& whole);
  Result<void> Remove(AppId app, const RemoteObject& object);

  ObjectServer& server() { return server_; }

 private:
  struct Chunk {
    std::string key;
    std::shared_ptr<const std::string> bytes;
  };

  Result<std::shared_ptr<const std::string>> ReadChunk(const std::string& key,
                                                       const RemotePart& part, std::uint64_t chunk);
  // As it was kept, or read.
  Result<std::shared_ptr<const std::string>> FindChunk(const std::string& key,
                                                       const RemotePart& part, std::uint64_t chunk);
  std::shared_ptr<const std::string> Find(const std::string& key);
  void Keep(const std::string& key, const std::shared_ptr<const std::string>& bytes);

  ObjectServer& server_;
  std::mutex mutex_;
  std::list<Chunk> kept_;  // the last used one first
  std::unordered_map<std::string, std::list<Chunk>::iterator> by_key_;
};

}  // namespace cloister
