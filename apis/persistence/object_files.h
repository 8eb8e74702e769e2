#pragma once

// The files of one app's larger objects, and whether they still are what was written.
//
//   DIRECTORY/objects/3f/3fa9...   an object, named by its id
//   DIRECTORY/objects/tmp/...      what is being written
//
// A file is read through hashes of its chunks: each is checked when it is first read, and again
// after the file has changed. Blocking, one thread at a time.

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/sha256.h"
#include "apis/base/unique_fd.h"

namespace cloister {

std::string ObjectTemporaryDirectory(const std::string& directory);
std::string ObjectPath(const std::string& directory, const Sha256& id);
// `directory`, and those for objects in it, on the disk.
Result<void> MakeObjectDirectories(const std::string& directory);

// What the database says of an object in a file.
struct ObjectFileFacts {
  Sha256 id;
  std::uint64_t size = 0;
  std::string_view chunks;
};

class ObjectFiles {
 public:
  // kProtocol: the file is missing or not what was written.
  Result<std::string> Read(const std::string& directory, const ObjectFileFacts& facts,
                           std::uint64_t offset, std::size_t count);

 private:
  // Which file was looked at: another inode, or a later change, is another one.
  struct Identity {
    ino_t inode = 0;
    std::int64_t changed_s = 0;
    std::int64_t changed_ns = 0;

    bool operator==(const Identity&) const = default;
  };
  struct Known {
    Sha256 id;
    Identity identity;
    std::vector<bool> sound;  // chunks
  };

  Known& KnownOf(const Sha256& id, const Identity& identity, std::size_t chunks);

  std::list<Known> known_;  // the last used one first
  std::unordered_map<Sha256, std::list<Known>::iterator> by_id_;
};

// Reads the whole file against its hashes. kProtocol: as Read.
Result<void> CheckObjectFile(const std::string& directory, const ObjectFileFacts& facts);

// Whether somebody writes that temporary file, or has it on its way, perhaps another process.
bool IsObjectBeingWritten(const std::string& directory, const std::string& name);
// Removes temporary files that nobody writes any more.
Result<void> SweepTemporaryObjects(const std::string& directory);
// Removes files that are not `wanted`.
Result<void> SweepObjects(const std::string& directory,
                          const std::function<Result<bool>(const Sha256&)>& wanted);

}  // namespace cloister
