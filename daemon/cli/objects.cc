#include "daemon/cli/objects.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "apis/base/sha256.h"
#include "apis/base/unique_fd.h"
#include "daemon/cli/app_ref.h"
#include "daemon/cli/progress.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kPiece = std::uint64_t{1} << 20;
// The node copies and syncs what it was sent before it answers.
constexpr Millis kStoreWait{600000};

// "id=..." or "name=...".
std::string Reference(const std::string& reference) {
  const bool is_id = Sha256::FromHex(reference).has_value();
  return (is_id ? "id=" : "name=") + PercentEncoded(reference);
}

Failure FileFailure(std::string doing, const std::string& path) {
  Failure failure = FailureOf(SystemError(std::move(doing) + " " + path), "file_unreadable");
  failure.advice = "name a file that you can read; - is standard input";
  return failure;
}

// Ids are listed where names are not.
template <typename T>
Attempt<T> OrListOf(const ObjectWish& wish, Attempt<T> answer) {
  if (answer.ok() || answer.error().code != "object_not_found" ||
      !Sha256::FromHex(wish.reference).has_value())
    return answer;
  Failure failure = std::move(answer).error();
  failure.advice = "`cloister objects ls APP --ids` lists the ids";
  return failure;
}

// All bytes of a file of this machine, mapped.
class MappedFile {
 public:
  static Attempt<MappedFile> Map(const UniqueFd& fd, const std::string& path) {
    struct stat status = {};
    if (::fstat(fd.get(), &status) != 0)
      return FileFailure("reading", path);
    const auto size = static_cast<std::size_t>(status.st_size);
    void* place = nullptr;
    if (size > 0)
      place = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (place == MAP_FAILED)
      return FileFailure("reading", path);
    return MappedFile(place, size);
  }
  MappedFile(MappedFile&& other) noexcept
      : place_(std::exchange(other.place_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  MappedFile& operator=(MappedFile&&) = delete;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile() {
    if (place_ != nullptr)
      ::munmap(place_, size_);
  }
  std::string_view bytes() const { return {static_cast<const char*>(place_), size_}; }

 private:
  MappedFile(void* place, std::size_t size) : place_(place), size_(size) {}
  void* place_;
  std::size_t size_;
};

Attempt<void> WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return FailureOf(SystemError("writing " + path), "output_failed");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

// A regular file as it is; standard input, or what cannot be mapped, through a file without a name.
Attempt<UniqueFd> OpenSource(const std::string& path) {
  const bool is_input = path == "-";
  UniqueFd source(is_input ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                           : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status = {};
  if (!source.valid() || ::fstat(source.get(), &status) != 0)
    return FileFailure("reading", path);
  if (S_ISREG(status.st_mode) && !is_input)
    return source;
  const char* folder = ::getenv("TMPDIR");
  UniqueFd copy(::open(folder != nullptr && *folder != '\0' ? folder : "/tmp",
                       O_RDWR | O_TMPFILE | O_CLOEXEC, 0600));
  if (!copy.valid())
    return FileFailure("making a temporary file for", path);
  std::array<char, 65536> part{};
  while (true) {
    const ssize_t got = ::read(source.get(), part.data(), part.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return FileFailure("reading", path);
    if (got == 0)
      return copy;
    TRY(WriteAll(copy.get(), {part.data(), static_cast<std::size_t>(got)}, "a temporary file"));
  }
}

void ShowObjects(Console& console, const Json& rows, const ObjectWish& wish) {
  std::vector<std::vector<std::string>> table;
  for (const Json& row : rows) {
    std::vector<std::string> columns = {TextOf(row, "id"), FormatBytes(NumberOf(row, "size")),
                                        TextOf(row, "created_at")};
    if (!wish.ids)
      columns.push_back(OneLine(TextOf(row, "name")));
    table.push_back(std::move(columns));
  }
  std::vector<std::string> titles = {"ID", "SIZE", "WRITTEN"};
  if (!wish.ids)
    titles.emplace_back("NAME");
  if (!table.empty())
    console.Table(titles, table);
}

// Where an object is written to: a file beside the wanted one until it is whole, or standard
// output.
class Target {
 public:
  static Attempt<Target> Open(const std::string& path) {
    if (path == "-")
      return Target(UniqueFd(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)), path, "");
    const std::string part = path + ".part";
    UniqueFd fd(::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (!fd.valid())
      return FailureOf(SystemError("creating " + part), "output_failed");
    return Target(std::move(fd), path, part);
  }
  Target(Target&& other) noexcept
      : fd_(std::move(other.fd_)),
        path_(std::move(other.path_)),
        part_(std::exchange(other.part_, "")) {}
  Target& operator=(Target&&) = delete;
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;
  ~Target() {
    if (!part_.empty())
      ::unlink(part_.c_str());
  }
  Attempt<void> Write(std::string_view bytes) { return WriteAll(fd_.get(), bytes, path_); }
  Attempt<void> Finish() {
    if (!part_.empty() && ::rename(part_.c_str(), path_.c_str()) != 0)
      return FailureOf(SystemError("creating " + path_), "output_failed");
    part_.clear();
    return {};
  }

 private:
  Target(UniqueFd fd, std::string path, std::string part)
      : fd_(std::move(fd)), path_(std::move(path)), part_(std::move(part)) {}
  UniqueFd fd_;
  std::string path_;
  std::string part_;  // empty: nothing to rename or remove
};

// The last part of a name, for a file of this machine.
std::string FileNameOf(const std::string& reference) {
  const std::string name = reference.substr(reference.rfind('/') + 1);
  return name.empty() || name == "." || name == ".." ? "object" : name;
}

}  // namespace

Attempt<void> ListObjects(AdminApi& api, Console& console, const ObjectWish& wish) {
  if (wish.ids && !wish.reference.empty())
    return Failure{ExitCode::kUsage, "usage", "--ids lists all objects: PREFIX is of names", "",
                   "leave out one of the two"};
  const AppName app = TRY(ResolveApp(api, wish.app));
  const std::string target =
      AppTarget(app, "/objects?") +
      (wish.ids ? std::string("ids=1") : "prefix=" + PercentEncoded(wish.reference));
  Json all = Json::array();
  std::string after;
  std::uint64_t bytes = 0;
  std::set<std::string> counted;
  do {
    const Json page = TRY(api.Get(target + "&after=" + PercentEncoded(after)));
    const Json& rows = ListOf(page, "objects");
    for (const Json& row : rows) {
      // An object that has two names is there once.
      if (counted.insert(TextOf(row, "id")).second)
        bytes += NumberOf(row, "size");
      all.push_back(row);
    }
    after = TextOf(page, "next");
  } while (!after.empty());
  if (console.json())
    console.Raw(Dump({{"app", app.ToString()}, {"objects", all}}) + "\n");
  ShowObjects(console, all, wish);
  console.Note(fmt::format("{} {}{}, {}", all.size(), wish.ids ? "object" : "name",
                           all.size() == 1 ? "" : "s", FormatBytes(bytes)));
  return {};
}

Attempt<void> PutObject(AdminApi& api, Console& console, const ObjectWish& wish) {
  const AppName app = TRY(ResolveApp(api, wish.app));
  const UniqueFd source = TRY(OpenSource(wish.file));
  const MappedFile file = TRY(MappedFile::Map(source, wish.file));
  const SystemClock clock;
  const std::uint64_t size = file.bytes().size();
  Progress progress(console, clock, "uploading", size);
  std::string target = AppTarget(app, "/objects");
  if (!wish.name.empty())
    target += "?name=" + PercentEncoded(wish.name);
  const Json kept = TRY(api.PostBytes(
      target, file.bytes(),
      [&progress, size](std::uint64_t sent) { progress.Set(std::min(sent, size)); }, kStoreWait));
  if (console.json())
    console.Raw(Dump(kept) + "\n");
  console.Line(TextOf(kept, "id"));
  return {};
}

Attempt<void> GetObject(AdminApi& api, Console& console, const ObjectWish& wish) {
  const AppName app = TRY(ResolveApp(api, wish.app));
  const Json found =
      TRY(OrListOf(wish, api.Get(AppTarget(app, "/objects/stat?") + Reference(wish.reference))));
  const std::string id = TextOf(found, "id");
  const std::uint64_t size = NumberOf(found, "size");
  const std::string path = wish.file.empty() ? FileNameOf(wish.reference) : wish.file;
  if (wish.file.empty() && ::access(path.c_str(), F_OK) == 0)
    return Failure{ExitCode::kRefused, "file_exists", path + " is there already", "",
                   "-o " + path + " replaces it; -o gives it another name, too"};
  Target target = TRY(Target::Open(path));
  const SystemClock clock;
  Progress progress(console, clock, "downloading", size);
  Sha256Stream hash;
  for (std::uint64_t done = 0; done < size;) {
    const std::string piece = TRY(api.GetBytes(AppTarget(app, "/objects/bytes?id=") + id +
                                               fmt::format("&offset={}&count={}", done, kPiece)));
    if (piece.empty())
      return Failure{ExitCode::kFailed, "bad_answer", "the object ended too early", id, ""};
    TRY(target.Write(piece));
    hash.Add(piece);
    done += piece.size();
    progress.Set(done);
  }
  if (hash.Finish().Hex() != id)
    return Failure{ExitCode::kFailed, "bad_answer", "what arrived is not the object", id,
                   "try again; `cloister verify` says whether the node's is sound"};
  TRY(target.Finish());
  if (console.json() && path != "-")
    console.Raw(Dump({{"id", id}, {"size", size}, {"file", path}}) + "\n");
  if (path != "-")
    console.Line(fmt::format("{} ({})", Harmless(path), FormatBytes(size)));
  return {};
}

Attempt<void> RemoveObject(AdminApi& api, Console& console, const ObjectWish& wish) {
  const AppName app = TRY(ResolveApp(api, wish.app));
  TRY(OrListOf(wish, api.Delete(AppTarget(app, "/objects?") + Reference(wish.reference))));
  if (console.json())
    console.Raw(Dump({{"app", app.ToString()}, {"removed", wish.reference}}) + "\n");
  console.Line("removed " + Harmless(wish.reference));
  return {};
}

}  // namespace cloister
