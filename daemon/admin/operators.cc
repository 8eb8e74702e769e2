#include "daemon/admin/operators.h"

#include <grp.h>
#include <pwd.h>
#include <sys/types.h>

#include <algorithm>
#include <optional>
#include <vector>

namespace cloister {
namespace {

constexpr Seconds kRemembered{10};
constexpr std::size_t kAnswersMax = 256;
// Enough for any entry; one that is larger counts as not found, and its user as no operator.
constexpr std::size_t kEntryBytes = std::size_t{64} * 1024;

std::optional<gid_t> GroupId(const std::string& name) {
  std::vector<char> buffer(kEntryBytes);
  group entry = {};
  group* found = nullptr;
  if (::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr)
    return std::nullopt;
  return entry.gr_gid;
}

std::vector<gid_t> GroupsOf(uid_t uid) {
  std::vector<char> buffer(kEntryBytes);
  passwd entry = {};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr)
    return {};
  int count = 256;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  if (::getgrouplist(entry.pw_name, entry.pw_gid, groups.data(), &count) < 0) {
    groups.resize(static_cast<std::size_t>(std::max(count, 0)));
    if (::getgrouplist(entry.pw_name, entry.pw_gid, groups.data(), &count) < 0)
      return {};
  }
  groups.resize(static_cast<std::size_t>(std::max(count, 0)));
  return groups;
}

}  // namespace

Operators::Operators(const Clock& clock, std::set<std::uint32_t> uids, std::string group)
    : clock_(clock), uids_(std::move(uids)), group_(std::move(group)) {
  uids_.insert(0);
}

bool Operators::Allows(std::uint32_t uid, std::uint32_t gid) {
  if (uids_.contains(uid))
    return true;
  if (group_.empty())
    return false;
  const MonotonicTime now = clock_.Now();
  if (answers_.size() >= kAnswersMax)
    answers_.clear();
  Answer& answer = answers_[{uid, gid}];
  if (answer.until <= now)
    answer = {.member = IsMember(uid, gid), .until = now + kRemembered};
  return answer.member;
}

bool Operators::IsMember(std::uint32_t uid, std::uint32_t gid) const {
  const std::optional<gid_t> wanted = GroupId(group_);
  if (!wanted)
    return false;
  if (gid == *wanted)
    return true;
  const std::vector<gid_t> groups = GroupsOf(uid);
  return std::find(groups.begin(), groups.end(), *wanted) != groups.end();
}

}  // namespace cloister
