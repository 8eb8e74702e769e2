#pragma once

// A closed place in which hostile code can be let loose, behind all walls or without some.
//
// The arena has namespaces of its own (processes, mounts, network, IPC, names; for an ordinary user
// also a user namespace), a tmpfs over /tmp and a keyring of its own, and ends with its first
// process: what a control run destroys is inside. In it runs a launcher, which stands for keeper
// and zygote, a victim, which stands for any other process of the worker's uid, and the worker.

#include <sys/types.h>

#include <string>

#include "tests/support/left_out.h"

namespace cloister {

enum class ArenaMode {
  kOwnUid,     // as root: the worker has a uid of its own
  kSharedUid,  // as an ordinary user (nobody, when the tests run as root): everything has one uid
};

// Descriptors that the launcher leaves open; step `descriptors` should close them.
inline constexpr int kForgottenRoot = 100;  // the arena's "/"
inline constexpr int kForgottenFile = 101;  // a file in the arena's /tmp, writable

inline constexpr char kArenaSecret[] = "arena-secret";
inline constexpr char kArenaHostname[] = "arena-host";
inline constexpr char kArenaSocket[] = "arena-socket";         // abstract
inline constexpr char kArenaPrivateFile[] = "/tmp/private";    // of the launcher's user
inline constexpr char kArenaPrivilegedShell[] = "/tmp/shell";  // with file capabilities
inline constexpr int kArenaShmKey = 0xc101;

// What an attempt may know; it is what an attacker would have found out.
struct ArenaFacts {
  pid_t victim = 0;                   // its number in the arena
  int port = 0;                       // of a listener on 127.0.0.1
  const char* environment = nullptr;  // where kArenaSecret was in the environment's memory
  char mount_namespace[64] = {};      // of the arena, as /proc/self/ns shows it
  char cgroup_namespace[64] = {};
};

// Hostile code, run in the worker when the walls are up. Returns whether it got what it wanted.
using Attempt = bool (*)(const ArenaFacts&);

enum class Evidence {
  kItsWord,           // the attempt's return value
  kVictimDied,        // of SIGUSR2
  kOutlivedLauncher,  // what OutlivesLauncher returns
};

// For attempts of that evidence, to end with: has the launcher killed and says, if it still can,
// that the worker lives on.
bool OutlivesLauncher();

struct Trial {
  Attempt attempt = nullptr;
  Evidence evidence = Evidence::kItsWord;
  ArenaMode mode = ArenaMode::kSharedUid;
  LeftOut left_out{""};
};

enum class Outcome {
  kRefused,
  kSucceeded,
  kBroken,  // the arena or a wall failed; nothing was proved
};

struct TrialResult {
  Outcome outcome = Outcome::kBroken;
  std::string detail;
};

// Needs one thread. kOwnUid needs root.
TrialResult RunTrial(const Trial& trial);

}  // namespace cloister
