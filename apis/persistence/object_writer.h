#pragma once

// An object that comes in pieces: hashed as it comes, in memory while it is small, then in a
// temporary file.
//
// A temporary file is locked while its writer lives, so that whoever sweeps leftovers
// (object_files.h) can tell. What is not linked (Objects::Write) goes with the writer. Blocking,
// one thread at a time; so is its end.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/sha256.h"
#include "apis/base/unique_fd.h"

namespace cloister {

// Objects up to this size are rows of the database.
inline constexpr std::size_t kObjectRowMax = std::size_t{128} << 10;
// Of an object in a file each piece of this size has a hash of its own.
inline constexpr std::size_t kObjectChunk = std::size_t{1} << 20;

class ObjectWriter {
 public:
  // Where what is larger than a row goes in the end. kServer: the file is only on its way there.
  enum class Goal { kFile, kServer };

  // `directory`: of the app's files; nothing is made there while the object is small. Empty: it
  // stays in memory whatever its size.
  explicit ObjectWriter(std::string directory, Goal goal = Goal::kFile)
      : directory_(std::move(directory)), goal_(goal) {}
  ObjectWriter(const ObjectWriter&) = delete;
  ObjectWriter& operator=(const ObjectWriter&) = delete;
  ~ObjectWriter() { Abandon(); }

  Result<void> Append(std::string_view bytes);
  // After the last piece: on the disk, if it is a file that stays.
  Result<void> Finish();

  // When it is finished.
  const Sha256& id() const { return id_; }
  std::uint64_t size() const { return size_; }
  bool in_file() const { return file_.valid(); }
  // Unless it is in a file.
  const std::string& memory() const { return memory_; }
  // Of a file: a hash for each chunk, one after the other.
  const std::string& chunks() const { return chunks_; }
  int file() const { return file_.get(); }
  Goal goal() const { return goal_; }
  // Of a file whose goal is the server: what its key there ends with; empty: it is on no way yet.
  const std::string& mark() const { return mark_; }
  void SetMark(std::string mark) { mark_ = std::move(mark); }
  // The name of the temporary file, without its directory.
  std::string FileName() const { return path_.substr(path_.rfind('/') + 1); }
  // Moves the file to `path`, of the same file system, from where nobody removes it any more.
  Result<void> MoveTo(const std::string& path);
  // Removes what there is of it.
  void Abandon();

 private:
  Result<void> MakeFile();
  // What is in memory so far.
  Result<void> MoveToFile();
  Result<void> WriteFile(std::string_view bytes);
  void Hash(std::string_view bytes);

  std::string directory_;
  Goal goal_;
  std::string mark_;
  std::string memory_;
  UniqueFd file_;
  std::string path_;  // empty: no file that is ours to remove
  std::uint64_t size_ = 0;
  Sha256Stream whole_;
  std::optional<Sha256Stream> chunk_;
  std::size_t in_chunk_ = 0;
  std::string chunks_;
  Sha256 id_;
};

}  // namespace cloister
