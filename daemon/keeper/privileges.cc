#include "daemon/keeper/privileges.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <iterator>
#include <sstream>

namespace cloister {
namespace {

// The kernel's two words of capability bits (version 3 of the interface).
using CapabilityWords = std::array<__user_cap_data_struct, 2>;

constexpr std::uint32_t Bit(int capability) {
  return std::uint32_t{1} << (static_cast<unsigned>(capability) % 32U);
}

__user_cap_data_struct& WordOf(CapabilityWords& words, int capability) {
  return words.at(static_cast<std::size_t>(capability) / 32);
}

bool Get(CapabilityWords& words) {
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  return ::syscall(SYS_capget, &header, words.data()) == 0;
}

bool Set(const CapabilityWords& words) {
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  return ::syscall(SYS_capset, &header, words.data()) == 0;
}

// Whether we have every one of these now.
bool HaveAll(const std::vector<int>& capabilities) {
  CapabilityWords have = {};
  if (!Get(have))
    return false;
  for (const int capability : capabilities)
    if ((WordOf(have, capability).effective & Bit(capability)) == 0)
      return false;
  return true;
}

// `kept` as far as we have them: in all three sets with `inheritable`, else in two.
CapabilityWords Reduced(const std::vector<int>& kept, bool inheritable) {
  CapabilityWords have = {};
  CapabilityWords reduced = {};
  (void)Get(have);
  for (const int capability : kept) {
    const std::uint32_t bit = Bit(capability) & WordOf(have, capability).permitted;
    WordOf(reduced, capability).permitted |= bit;
    WordOf(reduced, capability).effective |= bit;
    if (inheritable)
      WordOf(reduced, capability).inheritable |= bit;
  }
  return reduced;
}

std::string ReadAll(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

bool IdMapHolds(std::string_view map, std::uint32_t first, std::uint32_t count) {
  std::istringstream lines{std::string(map)};
  std::uint64_t inside = 0;
  std::uint64_t outside = 0;
  std::uint64_t size = 0;
  const std::uint64_t end = std::uint64_t{first} + count;
  while (lines >> inside >> outside >> size)
    if (first >= inside && end <= inside + size)
      return true;
  return false;
}

Identities FindIdentities(std::uint32_t uid_base, std::uint32_t uid_count) {
  Identities found;
  found.node_uid = ::geteuid();
  found.zygote_uid = ::geteuid();
  found.cache_uid = ::geteuid();
  if (!HaveAll({CAP_SETUID, CAP_SETGID, CAP_KILL, CAP_SYS_ADMIN, CAP_CHOWN})) {
    found.reason = "not started as root";
    return found;
  }
  for (const char* path : {"/proc/self/uid_map", "/proc/self/gid_map"})
    if (!IdMapHolds(ReadAll(path), uid_base, uid_count)) {
      found.reason = std::string(path) + " does not hold " + std::to_string(uid_base) + " to " +
                     std::to_string(std::uint64_t{uid_base} + uid_count - 1) +
                     " (settings node.uid_base and node.uid_count)";
      return found;
    }
  return {.separate = true,
          .reason = {},
          .node_uid = uid_base,
          .zygote_uid = uid_base + 1,
          .cache_uid = uid_base + 2,
          .worker_uid_base = uid_base + kReservedUids,
          .worker_uid_count = uid_count - kReservedUids};
}

std::vector<int> ZygoteCapabilities(const Identities& identities) {
  if (identities.separate)
    return {CAP_SETUID, CAP_SETGID};
  // The kernel wants this of whoever maps the host's uid 0 into a user namespace.
  return ::geteuid() == 0 ? std::vector<int>{CAP_SETFCAP} : std::vector<int>{};
}

// As far as we have them: an ordinary user has none.
std::vector<int> KeeperCapabilities(const Identities& identities) {
  std::vector<int> kept = ZygoteCapabilities(identities);
  kept.push_back(CAP_DAC_OVERRIDE);  // removing cgroups, and a socket in the node's directory
  if (identities.separate) {
    kept.push_back(CAP_KILL);       // workers and children have other uids
    kept.push_back(CAP_SYS_ADMIN);  // an empty network namespace for each new zygote
  }
  return kept;
}

Result<void> LimitCapabilities(const std::vector<int>& kept) {
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
    return SystemError("PR_CAP_AMBIENT_CLEAR_ALL");
  if (!Set(Reduced(kept, false)))
    return SystemError("capset");
  return {};
}

bool KeepForExec(const std::vector<int>& kept) {
  // A uid 0 must not get all of them back by exec. Only possible with CAP_SETPCAP; without, a
  // uid 0 is held by no_new_privs, under which an exec never adds to what there is.
  (void)::prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED, 0, 0, 0);
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 || !Set(Reduced(kept, true)))
    return false;
  for (const int capability : kept)
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0)
      return false;
  return true;
}

}  // namespace cloister
