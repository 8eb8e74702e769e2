#pragma once

// What runs inside Redis: one script, which stores, counts bytes and makes room in one step.
//
// Called as EVALSHA kCacheScriptSha 3 INDEX GENERATIONS SLOT, then the arguments in the order of
// CacheScriptArgument; answers a list: CacheStatus, entries evicted, bytes now used (-1: not looked
// at), and for an incr the number; a fifth element says that the server was full, and that the
// app's own entries made room. Reading needs none of it: values are plain strings.

#include <cstdint>
#include <string>
#include <string_view>

namespace cloister {

enum class CacheStatus : std::uint8_t {
  kNo = 0,
  kYes = 1,
  kChanged = 2,  // of a cas: another value is there
  kMissing = 3,  // of a cas: none is
  kNoMemory = 4,
  kAgain = 5,     // not done: room for it is made in several steps, so that no one waits long
  kSweeping = 6,  // not stored: what older generations left takes the room until it is swept
};

// After the three keys.
enum class CacheScriptArgument : std::uint8_t {
  kOperation,   // set add replace cas delete incr touch sweep
  kGeneration,  // of the app
  kKey,         // as the app calls it; of sweep: what stands in front of every generation
  kQuota,       // bytes
  kCharge,      // bytes of this entry
  kTtl,         // milliseconds, 0: none
  kValue,       // of incr: the initial one, or empty
  kExtra,       // of cas: the token; of incr: the delta
  kSweeping,    // 1: older generations may have left something
};

std::string_view CacheScript();
// What EVALSHA calls it by.
const std::string& CacheScriptSha();

}  // namespace cloister
