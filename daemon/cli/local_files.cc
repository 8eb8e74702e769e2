#include "daemon/cli/local_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "apis/base/unique_fd.h"

namespace cloister {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kIgnoreFileMax = std::uint64_t{1024} * 1024;

Failure LinkFailure(const std::string& path) {
  return Failure{ExitCode::kRefused, "bundle_link", ShowPath(path) + " is a link",
                 "a bundle holds plain files only: what a link points to may change or be secret",
                 "replace it by what it points to, or name it in .cloisterignore"};
}

Failure KindFailure(const std::string& path) {
  return Failure{ExitCode::kRefused, "bundle_not_a_file",
                 ShowPath(path) + " is a device, socket or pipe", "a bundle holds plain files only",
                 "remove it, or name it in .cloisterignore"};
}

Failure ReadFailure(const std::string& path, const std::error_code& error) {
  return Failure{ExitCode::kFailed, "file_unreadable", "cannot read " + ShowPath(path),
                 error.message(), "make it readable, or name it in .cloisterignore"};
}

// Walks without recursion: the depth is the user's.
class Walk {
 public:
  Walk(const std::string& folder, const IgnoreRules& ignore, BundleRules& rules)
      : root_(folder), ignore_(ignore), rules_(rules) {}

  Attempt<std::vector<LocalFile>> Run() {
    folders_.emplace_back();
    while (!folders_.empty()) {
      const std::string folder = std::move(folders_.back());
      folders_.pop_back();
      TRY(ReadFolder(folder));
    }
    std::sort(files_.begin(), files_.end(),
              [](const LocalFile& a, const LocalFile& b) { return a.path < b.path; });
    return std::move(files_);
  }

 private:
  Attempt<void> ReadFolder(const std::string& folder) {
    std::error_code error;
    fs::directory_iterator entry(root_ / folder, error);
    const fs::directory_iterator end;
    for (; !error && entry != end; entry.increment(error)) {
      std::string path = folder.empty() ? "" : folder + "/";
      path += entry->path().filename().string();
      TRY(ReadEntry(*entry, std::move(path)));
    }
    if (error)
      return ReadFailure(folder.empty() ? root_.string() : folder, error);
    return {};
  }

  Attempt<void> ReadEntry(const fs::directory_entry& entry, std::string path) {
    std::error_code error;
    const fs::file_type type = entry.symlink_status(error).type();
    const bool is_folder = type == fs::file_type::directory;
    if (ignore_.Ignores(path, is_folder ? IgnoreRules::Kind::kFolder : IgnoreRules::Kind::kFile))
      return {};
    if (error)
      return ReadFailure(path, error);
    if (type == fs::file_type::symlink)
      return LinkFailure(path);
    if (is_folder) {
      if (Result<void> checked = CheckBundlePath(path); !checked.ok())
        return BundleFailure(std::move(checked).error());
      folders_.push_back(std::move(path));
      return {};
    }
    if (type != fs::file_type::regular)
      return KindFailure(path);
    const std::uint64_t size = entry.file_size(error);
    if (error)
      return ReadFailure(path, error);
    if (Result<void> added = rules_.Add(path, size); !added.ok())
      return BundleFailure(std::move(added).error());
    files_.push_back(LocalFile{std::move(path), entry.path().string(), size, {}});
    return {};
  }

  fs::path root_;
  const IgnoreRules& ignore_;
  BundleRules& rules_;
  std::vector<std::string> folders_;
  std::vector<LocalFile> files_;
};

Attempt<void> HashFile(LocalFile& file, std::uint64_t& done, Progress& progress) {
  const UniqueFd fd(::open(file.source.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.valid())
    return ReadFailure(file.path, std::error_code(errno, std::generic_category()));
  Sha256Stream stream;
  std::uint64_t size = 0;
  std::array<char, 65536> part{};
  for (;;) {
    const ssize_t got = ::read(fd.get(), part.data(), part.size());
    if (got < 0)
      return ReadFailure(file.path, std::error_code(errno, std::generic_category()));
    if (got == 0)
      break;
    const auto count = static_cast<std::size_t>(got);
    stream.Add(std::string_view(part.data(), count));
    size += count;
    progress.Set(done += count);
  }
  if (size != file.size)
    return Failure{ExitCode::kFailed, "file_changed",
                   ShowPath(file.path) + " changed while it was read", "", "deploy again"};
  file.sha256 = stream.Finish();
  return {};
}

}  // namespace

Attempt<Manifest> LoadManifest(const std::string& folder) {
  const std::string path = folder + "/" + std::string(kManifestPath);
  Result<std::string> text = ReadWholeFile(path, kManifestMax);
  if (!text.ok() && text.error().code == ErrorCode::kNotFound)
    return Failure{ExitCode::kRefused, "manifest_missing", "there is no " + path, "",
                   "a bundle has a cloister.toml at its top: docs/manifest.md shows the five lines "
                   "of the smallest one"};
  if (!text.ok())
    return FailureOf(std::move(text).error(), "file_unreadable");
  Result<Manifest> manifest = ParseManifest(text.value(), path);
  if (!manifest.ok())
    return Failure{ExitCode::kRefused, "manifest_invalid", "cloister.toml has errors",
                   manifest.error().message, "docs/manifest.md describes every key"};
  return std::move(manifest).value();
}

Attempt<void> CheckStaticPaths(const Manifest& manifest, const std::vector<LocalFile>& files,
                               const std::string& folder) {
  const StaticBundle bundle = {
      .has_file =
          [&files](std::string_view path) {
            return std::ranges::find(files, path, &LocalFile::path) != files.end();
          },
      .has_folder =
          [&files](std::string_view below) {
            return std::ranges::any_of(
                files, [below](const LocalFile& file) { return file.path.starts_with(below); });
          },
      .web_entry = manifest.web_entry};
  Result<void> checked =
      CheckStatics(manifest.statics, bundle, folder + "/" + std::string(kManifestPath));
  if (!checked.ok())
    return Failure{ExitCode::kRefused, "manifest_invalid", "cloister.toml has errors",
                   checked.error().message, "docs/manifest.md describes every key"};
  return {};
}

Failure BundleFailure(Error error) {
  const bool too_large = error.code == ErrorCode::kQuotaExceeded;
  Failure failure = FailureOf(std::move(error), too_large ? "bundle_too_large" : "bundle_refused",
                              ExitCode::kRefused);
  failure.advice = too_large
                       ? "name what the app does not need in .cloisterignore (a bundle: 256 MiB, "
                         "20000 files; a file: 32 MiB)"
                       : "rename it, or name it in .cloisterignore";
  return failure;
}

Attempt<std::vector<LocalFile>> FindFiles(const std::string& folder, const IgnoreRules& ignore,
                                          BundleRules& rules) {
  return Walk(folder, ignore, rules).Run();
}

Attempt<IgnoreRules> LoadIgnoreRules(const std::string& folder) {
  Result<std::string> text = ReadWholeFile(folder + "/.cloisterignore", kIgnoreFileMax);
  if (text.ok())
    return IgnoreRules(text.value());
  if (text.error().code == ErrorCode::kNotFound)
    return IgnoreRules();
  return FailureOf(std::move(text).error(), "file_unreadable");
}

Attempt<void> HashFiles(std::vector<LocalFile>& files, Console& console, const Clock& clock) {
  std::uint64_t total = 0;
  for (const LocalFile& file : files)
    total += file.size;
  Progress progress(console, clock, "hashing", total);
  std::uint64_t done = 0;
  for (LocalFile& file : files)
    TRY(HashFile(file, done, progress));
  return {};
}

Result<std::string> ReadWholeFile(const std::string& path, std::uint64_t most) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid())
    return SystemError("reading " + path);
  std::string text;
  std::array<char, 65536> part{};
  for (;;) {
    const ssize_t got = ::read(fd.get(), part.data(), part.size());
    if (got < 0)
      return SystemError("reading " + path);
    if (got == 0)
      return text;
    text.append(part.data(), static_cast<std::size_t>(got));
    if (text.size() > most)
      return Error{ErrorCode::kQuotaExceeded,
                   path + " is larger than " + std::to_string(most) + " bytes"};
  }
}

}  // namespace cloister
