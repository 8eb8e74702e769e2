#include "daemon/cli/dev.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include <nlohmann/json.hpp>

#include "apis/base/program.h"
#include "daemon/cli/api.h"
#include "daemon/cli/local_files.h"

namespace cloister {
namespace {

// From the folder of this program: in a build, and installed.
constexpr std::array<const char*, 2> kPackagePlaces = {"/../lib/python",
                                                       "/../lib/cloister/developer"};

Attempt<std::string> FindPackage() {
  Result<std::string> directory = ProgramDirectory();
  if (!directory.ok())
    return FailureOf(std::move(directory).error(), "developer_package_missing");
  const std::string& programs = directory.value();
  for (const char* place : kPackagePlaces) {
    std::error_code error;
    const std::filesystem::path found =
        std::filesystem::canonical(programs + place + "/cloister/__init__.py", error);
    if (!error)
      return found.parent_path().parent_path().string();
  }
  return Failure{
      ExitCode::kFailed, "developer_package_missing",
      "the cloister package for developers is not installed",
      "looked in " + programs + kPackagePlaces[0] + " and " + programs + kPackagePlaces[1], ""};
}

std::vector<std::string> WordsOf(const DevOptions& options) {
  if (options.goal == DevOptions::Goal::kTest)
    return {options.python, "-m", "cloister.dev.tests", options.folder};
  const Result<std::string> programs = ProgramDirectory();
  std::vector<std::string> words = {options.python,
                                    "-m",
                                    "cloister.dev",
                                    "--dir",
                                    options.folder,
                                    "--port",
                                    std::to_string(options.port)};
  if (!options.config.empty())
    words.insert(words.end(), {"--config", options.config});
  if (options.goal == DevOptions::Goal::kCheck)
    words.emplace_back("--check");
  if (options.reload == DevOptions::Reload::kNever)
    words.emplace_back("--no-reload");
  else if (programs.ok())
    words.insert(words.end(), {"--validator", programs.value() + "/cloister"});
  return words;
}

// In front of what the developer has there.
void AddToPythonPath(const std::string& package) {
  const char* former = std::getenv("PYTHONPATH");
  const bool had_one = former != nullptr && *former != '\0';
  ::setenv("PYTHONPATH", (had_one ? package + ":" + former : package).c_str(), 1);
}

Attempt<void> CheckFiles(Manifest manifest, const std::string& folder) {
  BundleRules rules;
  const IgnoreRules ignore = TRY(LoadIgnoreRules(folder));
  const std::vector<LocalFile> files = TRY(FindFiles(folder, ignore, rules));
  // What packages bring is not looked at here.
  std::erase_if(manifest.statics, [](const StaticRoute& route) {
    return route.target.starts_with("site-packages/");
  });
  return CheckStaticPaths(manifest, files, folder);
}

// What a deploy would find as well. While an app is made it may have files that are no part of a
// bundle, and lack some that are: only a check refuses that.
Attempt<void> Validate(Console& console, const DevOptions& options) {
  const Manifest manifest = TRY(LoadManifest(options.folder));
  Attempt<void> checked = CheckFiles(manifest, options.folder);
  if (checked.ok() || options.goal == DevOptions::Goal::kCheck)
    return checked;
  const Failure& failure = checked.error();
  console.Note("cloister dev: note: a deploy would be refused: " + failure.what +
               (failure.detail.empty() ? "" : "\n" + failure.detail));
  return {};
}

// Before becoming it, so that what another program says is not taken for our words.
Attempt<void> TryPython(const std::string& python) {
  constexpr int kTooOld = 9;
  std::string name = python;
  std::string option = "-c";
  std::string code = "import sys; sys.exit(0 if sys.version_info >= (3, 9) else 9)";
  const std::array<char*, 4> arguments = {name.data(), option.data(), code.data(), nullptr};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    ::posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  pid_t pid = 0;
  int status = 0;
  const int error =
      ::posix_spawnp(&pid, python.c_str(), &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  while (error == 0 && ::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (error == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
    return {};
  std::string why = error == 0 ? "it does not run Python" : ::strerror(error);
  if (error == 0 && WIFEXITED(status) && WEXITSTATUS(status) == kTooOld)
    why = "it is older than Python 3.9";
  return Failure{ExitCode::kFailed, "python_failed", "cannot run " + python, std::move(why),
                 "name another Python, 3.9 or later, with --python"};
}

}  // namespace

Attempt<void> RunDev(Console& console, const DevOptions& options) {
  const std::string package = TRY(FindPackage());
  if (options.goal == DevOptions::Goal::kWhere) {
    console.Raw((console.json() ? Dump({{"path", package}}) : package) + "\n");
    return {};
  }
  std::error_code error;
  if (!std::filesystem::is_directory(options.folder, error))
    return Failure{ExitCode::kUsage, "usage", options.folder + " is no folder", "",
                   "name the folder with cloister.toml; `cloister init` makes one"};
  if (console.json())
    return Failure{ExitCode::kUsage, "usage", "dev writes what the app and its tests say, not JSON",
                   "", "leave --json out; only --where has an answer in JSON"};
  if (options.goal != DevOptions::Goal::kTest)
    TRY(Validate(console, options));
  if (options.goal == DevOptions::Goal::kValidate)
    return {};
  TRY(TryPython(options.python));
  AddToPythonPath(package);
  std::vector<std::string> words = WordsOf(options);
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words)
    arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::execvp(options.python.c_str(), arguments.data());
  return Failure{ExitCode::kFailed, "python_failed", "cannot run " + options.python,
                 ::strerror(errno), "name another Python, 3.9 or later, with --python"};
}

}  // namespace cloister
