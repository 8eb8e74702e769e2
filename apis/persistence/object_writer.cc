#include "apis/persistence/object_writer.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <utility>

#include "apis/persistence/object_files.h"

namespace cloister {
namespace {

// Of this process; with its number it makes the names of temporary files.
std::atomic<std::uint64_t> last_file{0};

}  // namespace

Result<void> ObjectWriter::MakeFile() {
  TRY(MakeObjectDirectories(directory_));
  const std::string start =
      ObjectTemporaryDirectory(directory_) + "/" + std::to_string(::getpid()) + "-";
  while (true) {
    const std::string path = start + std::to_string(++last_file);
    UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    // Of a former process of the same number.
    if (!file.valid() && errno == EEXIST)
      continue;
    if (!file.valid())
      return SystemError("creating " + path);
    struct stat status = {};
    if (::flock(file.get(), LOCK_EX) != 0 || ::fstat(file.get(), &status) != 0)
      return SystemError("locking " + path);
    // Swept away before it was locked.
    if (status.st_nlink == 0)
      continue;
    file_ = std::move(file);
    path_ = path;
    return {};
  }
}

Result<void> ObjectWriter::WriteFile(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return SystemError("writing an object");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

void ObjectWriter::Hash(std::string_view bytes) {
  whole_.Add(bytes);
  // The id of a small one is all it needs.
  while (!bytes.empty() && !directory_.empty()) {
    if (!chunk_)
      chunk_.emplace();
    const std::string_view piece = bytes.substr(0, kObjectChunk - in_chunk_);
    chunk_->Add(piece);
    in_chunk_ += piece.size();
    bytes.remove_prefix(piece.size());
    if (in_chunk_ < kObjectChunk)
      break;
    chunks_ += chunk_->Finish().view();
    chunk_.reset();
    in_chunk_ = 0;
  }
}

Result<void> ObjectWriter::MoveToFile() {
  TRY(MakeFile());
  TRY(WriteFile(memory_));
  memory_ = {};
  return {};
}

Result<void> ObjectWriter::Append(std::string_view bytes) {
  const bool is_large = !directory_.empty() && memory_.size() + bytes.size() > kObjectRowMax;
  if (is_large && !file_.valid())
    TRY(MoveToFile());
  if (file_.valid())
    TRY(WriteFile(bytes));
  else
    memory_ += bytes;
  Hash(bytes);
  size_ += bytes.size();
  return {};
}

Result<void> ObjectWriter::Finish() {
  if (chunk_)
    chunks_ += chunk_->Finish().view();
  chunk_.reset();
  id_ = whole_.Finish();
  if (file_.valid() && goal_ == Goal::kFile && ::fsync(file_.get()) != 0)
    return SystemError("writing an object");
  return {};
}

Result<void> ObjectWriter::MoveTo(const std::string& path) {
  if (::rename(path_.c_str(), path.c_str()) != 0)
    return SystemError("moving an object to " + path);
  path_.clear();
  return {};
}

void ObjectWriter::Abandon() {
  if (!path_.empty())
    ::unlink(path_.c_str());
  path_.clear();
  file_.Reset();
  memory_ = {};
}

}  // namespace cloister
