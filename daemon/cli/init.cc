#include "daemon/cli/init.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include <nlohmann/json.hpp>

#include "apis/base/names.h"
#include "apis/base/unique_fd.h"
#include "daemon/cli/api.h"
#include "daemon/cli/init_files.h"

namespace cloister {
namespace {

constexpr std::string_view kNameMark = "@NAME@";
constexpr mode_t kFileMode = 0644;

Failure Unwritable(const std::string& path, int error) {
  return Failure{ExitCode::kFailed, "file_unwritable", "cannot write " + path, ::strerror(error),
                 ""};
}

// What of a folder's name can be one of an app; empty: nothing.
std::string NameOf(const std::filesystem::path& folder) {
  std::string name;
  for (char c : folder.string()) {
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
    const bool fits = (c >= 'a' && c <= 'z') || (!name.empty() && c >= '0' && c <= '9');
    if (fits)
      name += c;
    else if (!name.empty() && !name.ends_with('-'))
      name += '-';
  }
  name.resize(std::min(name.size(), kNameMax));
  while (name.ends_with('-'))
    name.pop_back();
  return name;
}

// Of "." and "shop/", too.
std::filesystem::path FolderNameOf(const std::string& text) {
  std::error_code error;
  const std::filesystem::path folder =
      std::filesystem::weakly_canonical(std::filesystem::path(text) / "", error);
  return (folder.has_filename() ? folder : folder.parent_path()).filename();
}

Attempt<std::string> ChooseName(const InitOptions& options) {
  const std::string name =
      options.name.empty() ? NameOf(FolderNameOf(options.folder)) : options.name;
  if (IsValidName(name))
    return name;
  return Failure{ExitCode::kUsage, "usage",
                 options.name.empty() ? "the folder's name makes no name of an app"
                                      : "'" + name + "' cannot be the name of an app",
                 "a-z first, then a-z, 0-9 and '-', at most 30 characters",
                 "name the app with --name"};
}

std::string WithName(std::string_view text, std::string_view name) {
  std::string filled;
  for (;;) {
    const std::size_t mark = text.find(kNameMark);
    filled += text.substr(0, mark);
    if (mark == std::string_view::npos)
      return filled;
    filled += name;
    text.remove_prefix(mark + kNameMark.size());
  }
}

// Whether it was written: false when something is there already.
Attempt<bool> WriteNew(const std::string& path, std::string_view text) {
  UniqueFd file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kFileMode));
  if (!file.valid() && errno == EEXIST)
    return false;
  if (!file.valid())
    return Unwritable(path, errno);
  while (!text.empty()) {
    const ssize_t written = ::write(file.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return Unwritable(path, errno);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

struct Outcome {
  std::vector<std::string> written;
  std::vector<std::string> kept;
};

Attempt<Outcome> WriteFiles(const InitOptions& options, const std::string& name) {
  Outcome outcome;
  for (const InitFile& file : InitFiles()) {
    if (file.kind != "all" && file.kind != options.kind)
      continue;
    const std::filesystem::path path = std::filesystem::path(options.folder) / file.path;
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
    if (error)
      return Unwritable(path.parent_path().string(), error.value());
    const bool is_new = TRY(WriteNew(path.string(), WithName(file.text, name)));
    (is_new ? outcome.written : outcome.kept).emplace_back(file.path);
  }
  return outcome;
}

// As one word of a shell's command.
std::string ForShell(const std::string& text) {
  const bool plain = std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_./-+,@%").find(c) != std::string_view::npos;
  });
  if (plain && !text.starts_with('-'))
    return text;
  std::string quoted = "'";
  for (const char c : text)
    quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return (text.starts_with('-') ? "./" : "") + quoted + "'";
}

// What to do with it, in this order.
std::string NextSteps(const InitOptions& options, const std::string& name) {
  const std::string where = options.folder == "." ? "" : " " + ForShell(options.folder);
  const std::string app = "TENANT/" + name;
  std::string text = "\nNext, from here:\n  cloister dev" + where +
                     "          # serve it on this machine, without a node\n"
                     "  cloister dev --test" +
                     where + "   # run its tests\n";
  // Its manifest requires a key, without which a deploy is rejected.
  if (options.kind == "django")
    text += "  cloister apps create " + app + "\n  cloister secrets set " + app +
            " SECRET_KEY   # fifty random characters or more\n";
  return text + "  cloister deploy" + where + " --app " + app;
}

}  // namespace

Attempt<void> InitApp(Console& console, const InitOptions& options) {
  const std::string name = TRY(ChooseName(options));
  const Outcome outcome = TRY(WriteFiles(options, name));
  if (console.json()) {
    console.Raw(Dump({{"app", name},
                      {"folder", options.folder},
                      {"written", outcome.written},
                      {"kept", outcome.kept}}) +
                "\n");
    return {};
  }
  for (const std::string& path : outcome.written)
    console.Line("wrote " + path);
  for (const std::string& path : outcome.kept)
    console.Line("kept  " + path + ", which was there");
  if (options.name.empty() && FolderNameOf(options.folder) != name)
    console.Note("The app is named " + name +
                 ", which is what its folder's name makes; --name "
                 "gives it another, and so does cloister.toml.");
  console.Note(NextSteps(options, name));
  return {};
}

}  // namespace cloister
