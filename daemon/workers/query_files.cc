#include "daemon/workers/query_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "apis/base/directories.h"
#include "apis/query/database_file.h"
#include "daemon/workers/database_copy.h"
#include "daemon/workers/database_source.h"

namespace cloister {
namespace {

constexpr mode_t kOwnerOnly = 0600;

// Whole or not at all, whenever the machine stops.
Result<void> MakeDatabase(const std::string& directory, const std::string& path) {
  const std::string unfinished = path + ".new";
  const std::string bytes = NewDatabaseFile();
  const UniqueFd fd(::open(unfinished.c_str(),
                           O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, kOwnerOnly));
  if (!fd.valid())
    return SystemError("creating " + unfinished);
  if (::write(fd.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()) ||
      ::fsync(fd.get()) != 0)
    return SystemError("writing " + unfinished);
  if (::rename(unfinished.c_str(), path.c_str()) != 0)
    return SystemError("renaming " + unfinished);
  return SyncDirectory(directory);
}

Result<UniqueFd> OpenFile(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags, kOwnerOnly));
  if (!fd.valid())
    return SystemError("opening " + path);
  return fd;
}

// A file without a name.
Result<UniqueFd> MakeNamelessFile(const std::string& directory) {
  UniqueFd fd(::open(directory.c_str(), O_RDWR | O_TMPFILE | O_CLOEXEC, kOwnerOnly));
  if (!fd.valid())
    return SystemError("making a copy in " + directory);
  return fd;
}

// Unless it is there.
Result<void> MakeFirstDatabase(const std::string& directory) {
  TRY(MakeDirectories(directory, 2));
  const std::string path = directory + kDatabaseFile;
  return ::access(path.c_str(), F_OK) == 0 ? Result<void>() : MakeDatabase(directory, path);
}

std::uint64_t SizeOf(const UniqueFd& fd) {
  struct stat status = {};
  return ::fstat(fd.get(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

}  // namespace

Result<QueryFiles> OpenQueryFiles(const std::string& app_directory, std::uint64_t data,
                                  QueryPurpose purpose) {
  const std::string directory = DataDirectory(app_directory, data);
  if (data == 0)
    TRY(MakeFirstDatabase(app_directory));
  UniqueFd database = TRY(OpenFile(directory + kDatabaseFile, 0));
  UniqueFd log = TRY(OpenFile(directory + kDatabaseLogFile, O_CREAT));
  UniqueFd index = TRY(OpenFile(directory + kDatabaseIndexFile, O_CREAT));
  // What is written to the log is found again only if its name is.
  TRY(SyncDirectory(directory));
  QueryFiles opened;
  const std::uint64_t size = SizeOf(database) + SizeOf(log);
  const auto add = [&opened](UniqueFd fd) {
    opened.files.push_back(std::make_shared<const UniqueFd>(std::move(fd)));
  };
  add(std::move(database));
  add(std::move(log));
  add(std::move(index));
  if (purpose == QueryPurpose::kServe)
    return opened;
  opened.mode = size <= kQueryCopyMax.count ? QueryMode::kCopy : QueryMode::kReadOnly;
  for (int i = 0; opened.mode == QueryMode::kCopy && i < 3; ++i)
    add(TRY(MakeNamelessFile(directory)));
  return opened;
}

}  // namespace cloister
