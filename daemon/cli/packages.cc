#include "daemon/cli/packages.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include <nlohmann/json.hpp>

#include "apis/base/unique_fd.h"
#include "daemon/cli/api.h"
#include "daemon/cli/collect_packages.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kOutputMax = std::size_t{64} * 1024 * 1024;
constexpr const char* kPythonVersion = "3.11";

Failure PythonFailure(const std::string& python, std::string why) {
  return Failure{ExitCode::kFailed, "python_failed", "cannot list packages with " + python,
                 std::move(why),
                 "[bundle] packages needs a Python 3.11 on this machine: `apt install python3`, or "
                 "name one with --python"};
}

// Owns a child process until its end.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { (void)Wait(); }

  // As of waitpid.
  int Wait() {
    while (pid_ > 0 && ::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return status_;
  }

 private:
  pid_t pid_;
  int status_ = 0;
};

Result<pid_t> Spawn(const std::string& python, const std::vector<std::string>& names, int output) {
  std::vector<std::string> words = {python, "-E", "-c", kCollectPackages, kPythonVersion};
  words.insert(words.end(), names.begin(), names.end());
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words)
    arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  pid_t pid = 0;
  const int error =
      ::posix_spawnp(&pid, python.c_str(), &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0)
    return SystemError("starting " + python, error);
  return pid;
}

Result<std::string> ReadAll(int fd) {
  std::string text;
  std::array<char, 65536> part{};
  for (;;) {
    const ssize_t got = ::read(fd, part.data(), part.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return SystemError("reading its output");
    if (got == 0)
      return text;
    text.append(part.data(), static_cast<std::size_t>(got));
    if (text.size() > kOutputMax)
      return Error{ErrorCode::kProtocol, "its output is larger than 64 MiB"};
  }
}

Attempt<std::string> RunCollector(const std::string& python,
                                  const std::vector<std::string>& names) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return PythonFailure(python, SystemError("making a pipe").message);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  Result<pid_t> pid = Spawn(python, names, write_end.get());
  if (!pid.ok())
    return PythonFailure(python, pid.error().message);
  Child child(pid.value());
  write_end.Reset();
  Result<std::string> text = ReadAll(read_end.get());
  if (!text.ok())
    return PythonFailure(python, text.error().message);
  if (const int status = child.Wait(); !WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return PythonFailure(python, "it ended with status " + std::to_string(WEXITSTATUS(status)));
  return std::move(text).value();
}

Attempt<LocalFile> ReadFile(const Json& entry) {
  LocalFile file{"site-packages/" + TextOf(entry, "path"), TextOf(entry, "source"), 0, {}};
  struct stat status{};
  if (::stat(file.source.c_str(), &status) != 0)
    return Failure{ExitCode::kFailed, "file_unreadable", "cannot read " + ShowPath(file.source),
                   ::strerror(errno), ""};
  file.size = static_cast<std::uint64_t>(status.st_size);
  return file;
}

}  // namespace

Attempt<CollectedPackages> CollectPackages(const std::string& python,
                                           const std::vector<std::string>& names) {
  const Json answer = Json::parse(TRY(RunCollector(python, names)), nullptr, false);
  if (!answer.is_object())
    return PythonFailure(python, "its answer is not JSON");
  if (const Json& problem = ObjectOf(answer, "problem"); problem.is_object())
    return Failure{ExitCode::kRefused, TextOf(problem, "code"), TextOf(problem, "message"), "",
                   TextOf(problem, "advice")};
  CollectedPackages collected;
  for (const Json& entry : ListOf(answer, "files"))
    collected.files.push_back(TRY(ReadFile(entry)));
  for (const Json& entry : ListOf(answer, "left_out"))
    collected.left_out.push_back(LeftOut{TextOf(entry, "path"), TextOf(entry, "reason")});
  for (const Json& entry : ListOf(answer, "packages")) {
    const std::string version = TextOf(entry, "version");
    collected.packages.push_back(TextOf(entry, "name") + (version.empty() ? "" : " " + version));
  }
  return collected;
}

}  // namespace cloister
