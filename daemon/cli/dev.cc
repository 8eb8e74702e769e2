#include "daemon/cli/dev.h"

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
  return words;
}

// In front of what the developer has there.
void AddToPythonPath(const std::string& package) {
  const char* former = std::getenv("PYTHONPATH");
  const bool had_one = former != nullptr && *former != '\0';
  ::setenv("PYTHONPATH", (had_one ? package + ":" + former : package).c_str(), 1);
}

}  // namespace

Attempt<void> RunDev(Console& console, const DevOptions& options) {
  const std::string package = TRY(FindPackage());
  if (options.goal == DevOptions::Goal::kWhere) {
    console.Raw((console.json() ? Dump({{"path", package}}) : package) + "\n");
    return {};
  }
  if (console.json())
    return Failure{ExitCode::kUsage, "usage", "dev writes what the app and its tests say, not JSON",
                   "", "leave --json out; only --where has an answer in JSON"};
  // Python reads only what it needs of it; a deploy would refuse the rest.
  if (options.goal == DevOptions::Goal::kCheck)
    TRY(LoadManifest(options.folder));
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
