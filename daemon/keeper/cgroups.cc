#include "daemon/keeper/cgroups.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>

#include "apis/base/check.h"
#include "apis/base/unique_fd.h"

namespace cloister {
namespace {

constexpr std::uint64_t kCpuPeriodUs = 100000;
// The kernel's least quota.
constexpr std::uint64_t kCpuQuotaMinUs = 1000;
// What version 1 says for the weight that both begin with.
constexpr std::uint64_t kSharesOfWeight100 = 1024;
// The keeper's own group in version 2, beside its cloister-PID.
constexpr std::string_view kKeeperLeaf = "/cloister-keeper";
constexpr const char* kControllers[] = {"memory", "pids", "cpu"};
// Of cloister-PID beside the keeper's leaf, and in version 1 beside the host's others.
constexpr std::uint64_t kTopCpuWeight = 200;

std::pair<std::string, std::string> WeightFileV1(std::uint64_t weight) {
  return {"cpu.shares", std::to_string(weight * kSharesOfWeight100 / 100)};
}

std::pair<std::string, std::string> WeightFileV2(std::uint64_t weight) {
  return {"cpu.weight", std::to_string(weight)};
}

bool IsWeightFile(const std::string& file) {
  return file == "cpu.shares" || file == "cpu.weight";
}

struct Mount {
  std::string root;
  std::string point;
  std::string type;
  std::string options;  // of the superblock: has the controllers of version 1
};

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);)
    parts.push_back(part);
  return parts;
}

std::vector<Mount> ParseMounts(std::string_view mountinfo) {
  std::vector<Mount> mounts;
  for (const std::string& line : Split(std::string(mountinfo), '\n')) {
    const std::vector<std::string> words = Split(line, ' ');
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (words.size() < 6 || words.end() - dash < 4)
      continue;
    mounts.push_back(
        {.root = words[3], .point = words[4], .type = *(dash + 1), .options = *(dash + 3)});
  }
  return mounts;
}

// Controllers ("" for version 2) to our path in their hierarchy.
std::map<std::string, std::string> ParseSelf(std::string_view self_cgroup) {
  std::map<std::string, std::string> paths;
  for (const std::string& line : Split(std::string(self_cgroup), '\n')) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos)
      continue;
    const std::string names = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (names.empty())
      paths[""] = path;
    for (const std::string& name : Split(names, ','))
      paths[name] = path;
  }
  return paths;
}

// Where a path of the hierarchy is found below a mount that may show only a part of it.
std::string Directory(const Mount& mount, std::string path) {
  if (mount.root != "/" && path.starts_with(mount.root))
    path = path.substr(mount.root.size());
  return path == "/" || path.empty() ? mount.point : mount.point + path;
}

std::string Below(const std::string& directory, std::string_view name) {
  std::string path = directory;
  path += '/';
  return path += name;
}

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

Result<void> WriteText(const std::string& path, const std::string& text) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.valid())
    return SystemError("opening " + path);
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return SystemError("writing " + text + " to " + path);
  return {};
}

Result<void> MakeDirectory(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST)
    return SystemError("making " + path);
  return {};
}

// Names of the groups inside a group.
std::vector<std::string> Subgroups(const std::string& directory) {
  std::vector<std::string> names;
  DIR* listing = ::opendir(directory.c_str());
  if (listing == nullptr)
    return names;
  while (const dirent* entry = ::readdir(listing))
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
      names.emplace_back(entry->d_name);
  ::closedir(listing);
  return names;
}

// Removes a group of ours and its subgroups, which are one level deep. The kernel lets go of a
// group a moment after its last process or subgroup went, so this tries for up to a second.
void RemoveTree(const std::string& directory) {
  for (int tries = 0; tries < 100; ++tries) {
    for (const std::string& name : Subgroups(directory))
      (void)::rmdir(Below(directory, name).c_str());
    if (::rmdir(directory.c_str()) == 0 || errno != EBUSY)
      return;
    (void)::poll(nullptr, 0, 10);
  }
}

class NoCgroups : public Cgroups {
 public:
  explicit NoCgroups(std::string reason) : reason_(std::move(reason)) {}

  const char* version() const override { return "none"; }
  const std::string& reason() const override { return reason_; }
  std::vector<std::string> Directories() const override { return {}; }
  Result<void> Set(const std::string&, const GroupLimits&) override { return {}; }
  Result<void> SetWeight(const std::string&, std::uint64_t) override { return {}; }
  Result<void> SetBackground(const std::string&, bool) override { return {}; }
  Result<void> Move(const std::string&, pid_t) override { return {}; }
  void Remove(const std::string&) override {}
  void RemoveAll() override {}

 private:
  std::string reason_;
};

// Both versions: groups are directories below one directory per hierarchy.
class DirectoryCgroups : public Cgroups {
 public:
  // Hierarchy ("" for version 2) to the directory cloister-PID in it.
  explicit DirectoryCgroups(std::map<std::string, std::string> tops) : tops_(std::move(tops)) {}

  const char* version() const override { return IsV2() ? "v2" : "v1"; }
  const std::string& reason() const override { return no_reason_; }

  std::vector<std::string> Directories() const override {
    std::vector<std::string> directories;
    directories.reserve(tops_.size());
    for (const auto& [controller, top] : tops_)
      directories.push_back(top);
    return directories;
  }

  Result<void> Set(const std::string& group, const GroupLimits& limits) override {
    CHECK(IsGroupName(group));
    for (const auto& [controller, top] : tops_) {
      const std::string directory = Below(top, group);
      TRY(MakeDirectory(directory));
      left_over_.erase(group);
      for (const auto& [file, text] :
           IsV2() ? CgroupFilesV2(limits) : CgroupFilesV1(controller, limits))
        // The kernel refuses a weight in the background, where all have the least.
        if (!IsWeightFile(file) || !background_.contains(group))
          TRY(WriteText(Below(directory, file), text));
    }
    return {};
  }

  Result<void> SetWeight(const std::string& group, std::uint64_t cpu_weight) override {
    CHECK(IsGroupName(group));
    for (const auto& [controller, top] : tops_)
      TRY(MakeDirectory(Below(top, group)));
    return WriteWeight(group, cpu_weight);
  }

  Result<void> SetBackground(const std::string& group, bool background) override {
    TRY(WriteText(Below(CpuDirectory(group), "cpu.idle"), background ? "1" : "0"));
    if (background) {
      background_.insert(group);
      return {};
    }
    background_.erase(group);
    return WriteWeight(group, GroupLimits().cpu_weight);
  }

  Result<void> Move(const std::string& group, pid_t pid) override {
    for (const auto& [controller, top] : tops_)
      TRY(WriteText(Below(Below(top, group), "cgroup.procs"), std::to_string(pid)));
    return {};
  }

  void Remove(const std::string& group) override {
    left_over_.insert(group);
    background_.erase(group);
    std::erase_if(left_over_, [this](const std::string& each) {
      bool gone = true;
      for (const auto& [controller, top] : tops_)
        gone = (::rmdir(Below(top, each).c_str()) == 0 || errno == ENOENT) && gone;
      return gone;
    });
  }

  void RemoveAll() override {
    for (const auto& [controller, top] : tops_)
      RemoveTree(top);
  }

 private:
  bool IsV2() const { return tops_.contains(""); }

  std::string CpuDirectory(const std::string& group) const {
    return Below(tops_.at(IsV2() ? "" : "cpu"), group);
  }

  Result<void> WriteWeight(const std::string& group, std::uint64_t weight) {
    const auto [file, text] = IsV2() ? WeightFileV2(weight) : WeightFileV1(weight);
    return WriteText(Below(CpuDirectory(group), file), text);
  }

  std::map<std::string, std::string> tops_;
  std::set<std::string> left_over_;   // to be removed
  std::set<std::string> background_;  // that give way to the others
  std::string no_reason_;
};

// A group with subgroups must have no process of its own: we move into a leaf beside cloister-PID.
Result<void> PrepareV2(const std::string& own, const std::string& top) {
  const std::string keeper = own + std::string(kKeeperLeaf);
  TRY(MakeDirectory(keeper));
  TRY(WriteText(keeper + "/cgroup.procs", "0"));
  TRY(WriteText(own + "/cgroup.subtree_control", "+memory +pids +cpu"));
  TRY(MakeDirectory(top));
  TRY(WriteText(top + "/cgroup.subtree_control", "+memory +pids +cpu"));
  const auto [file, text] = WeightFileV2(kTopCpuWeight);
  return WriteText(Below(top, file), text);
}

Result<void> Prepare(const CgroupPlaces& places, const std::map<std::string, std::string>& tops) {
  if (places.version == CgroupPlaces::Version::kV2)
    return PrepareV2(places.own.at(""), tops.at(""));
  for (const auto& [controller, top] : tops) {
    TRY(MakeDirectory(top));
    const auto [file, text] = WeightFileV1(kTopCpuWeight);
    if (controller == "cpu")
      TRY(WriteText(Below(top, file), text));
  }
  return {};
}

bool HasWord(const std::string& text, std::string_view word) {
  std::istringstream words(text);
  for (std::string each; words >> each;)
    if (each == word)
      return true;
  return false;
}

std::optional<CgroupPlaces> FindV2(const std::vector<Mount>& mounts,
                                   const std::map<std::string, std::string>& self) {
  const auto mount = std::find_if(mounts.begin(), mounts.end(),
                                  [](const Mount& each) { return each.type == "cgroup2"; });
  const auto path = self.find("");
  if (mount == mounts.end() || path == self.end())
    return std::nullopt;
  std::string own = Directory(*mount, path->second);
  // Started by a process of an earlier keeper's own leaf: the delegated group is the one above.
  if (own.ends_with(kKeeperLeaf))
    own.resize(own.size() - kKeeperLeaf.size());
  return CgroupPlaces{
      .version = CgroupPlaces::Version::kV2, .own = {{"", std::move(own)}}, .reason = {}};
}

void KillAllIn(const std::string& group) {
  std::istringstream pids(ReadText(group + "/cgroup.procs"));
  for (pid_t pid = 0; pids >> pid;)
    (void)::kill(pid, SIGKILL);
}

}  // namespace

CgroupPlaces FindCgroups(std::string_view mountinfo, std::string_view self_cgroup) {
  const std::vector<Mount> mounts = ParseMounts(mountinfo);
  const std::map<std::string, std::string> self = ParseSelf(self_cgroup);
  CgroupPlaces v1{.version = CgroupPlaces::Version::kV1, .own = {}, .reason = {}};
  std::string missing;
  for (const char* controller : kControllers) {
    const auto mount = std::find_if(mounts.begin(), mounts.end(), [&](const Mount& each) {
      const std::vector<std::string> options = Split(each.options, ',');
      return each.type == "cgroup" &&
             std::find(options.begin(), options.end(), controller) != options.end();
    });
    const auto path = self.find(controller);
    if (mount == mounts.end() || path == self.end())
      (missing += ' ') += controller;
    else
      v1.own[controller] = Directory(*mount, path->second);
  }
  if (missing.empty())
    return v1;
  // A controller is in one version at a time, so version 2 is it when version 1 has not all.
  if (const std::optional<CgroupPlaces> v2 = FindV2(mounts, self))
    return *v2;
  return {.version = CgroupPlaces::Version::kNone,
          .own = {},
          .reason = "no cgroup hierarchy has the controllers:" + missing};
}

bool IsGroupName(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

GroupFiles CgroupFilesV1(const std::string& controller, const GroupLimits& limits) {
  if (controller == "memory")
    return {{"memory.limit_in_bytes", std::to_string(limits.memory_max.count)}};
  if (controller == "pids")
    return {{"pids.max", std::to_string(limits.pids_max)}};
  const std::uint64_t quota = std::max(limits.cpu_millis * kCpuPeriodUs / 1000, kCpuQuotaMinUs);
  return {{"cpu.cfs_period_us", std::to_string(kCpuPeriodUs)},
          {"cpu.cfs_quota_us", std::to_string(quota)},
          WeightFileV1(limits.cpu_weight)};
}

GroupFiles CgroupFilesV2(const GroupLimits& limits) {
  const std::uint64_t quota = std::max(limits.cpu_millis * kCpuPeriodUs / 1000, kCpuQuotaMinUs);
  return {{"memory.max", std::to_string(limits.memory_max.count)},
          {"pids.max", std::to_string(limits.pids_max)},
          {"cpu.max", std::to_string(quota) + " " + std::to_string(kCpuPeriodUs)},
          WeightFileV2(limits.cpu_weight)};
}

std::unique_ptr<Cgroups> OpenCgroups(const CgroupPlaces& places, pid_t keeper) {
  if (places.version == CgroupPlaces::Version::kNone)
    return std::make_unique<NoCgroups>(places.reason);
  if (places.version == CgroupPlaces::Version::kV2) {
    const std::string controllers = ReadText(places.own.at("") + "/cgroup.controllers");
    for (const char* controller : kControllers)
      if (!HasWord(controllers, controller))
        return std::make_unique<NoCgroups>("cgroup version 2 at " + places.own.at("") +
                                           " has no controller " + controller);
  }
  const std::string name = "cloister-" + std::to_string(keeper);
  std::map<std::string, std::string> tops;
  for (const auto& [controller, own] : places.own)
    tops[controller] = Below(own, name);
  const Result<void> prepared = Prepare(places, tops);
  if (prepared.ok())
    return std::make_unique<DirectoryCgroups>(std::move(tops));
  for (const auto& [controller, top] : tops)
    RemoveTree(top);
  return std::make_unique<NoCgroups>(prepared.error().message);
}

void RemoveLeftOverCgroups(const std::vector<std::string>& directories, pid_t keeper) {
  const std::string name = "/cloister-" + std::to_string(keeper);
  for (const std::string& directory : directories) {
    if (!directory.ends_with(name) || directory.find("/../") != std::string::npos)
      continue;
    for (const std::string& group : Subgroups(directory))
      KillAllIn(Below(directory, group));
    RemoveTree(directory);
  }
}

GroupLimits GroupLedger::Join(const std::string& group, const GroupLimits& worker) {
  Entry& entry = groups_[group];
  ++entry.workers;
  entry.limits.memory_max.count += worker.memory_max.count;
  entry.limits.pids_max += worker.pids_max;
  if (worker.cpu_millis > 0)
    entry.cpu_words.push_back(worker.cpu_millis);
  if (!entry.cpu_words.empty())
    entry.limits.cpu_millis = entry.cpu_words.back();
  else if (entry.limits.cpu_millis == 0)
    entry.limits.cpu_millis = kCpuWithoutWord;
  return entry.limits;
}

GroupLedger::Left GroupLedger::Leave(const std::string& group, const GroupLimits& worker) {
  const auto found = groups_.find(group);
  CHECK(found != groups_.end() && found->second.workers > 0);
  Entry& entry = found->second;
  entry.limits.memory_max.count -= worker.memory_max.count;
  entry.limits.pids_max -= worker.pids_max;
  // The oldest of those that said the same.
  const auto word = std::ranges::find(entry.cpu_words, worker.cpu_millis);
  if (word != entry.cpu_words.end())
    entry.cpu_words.erase(word);
  // Those who have no word keep what was said last.
  if (!entry.cpu_words.empty())
    entry.limits.cpu_millis = entry.cpu_words.back();
  const Left left{.empty = --entry.workers == 0, .limits = entry.limits};
  if (left.empty)
    groups_.erase(found);
  return left;
}

}  // namespace cloister
