#pragma once

// What a bundle may hold: the rules that `cloister deploy` checks before it sends anything and that
// the node checks again.
//
// Paths are relative, UTF-8, '/'-separated, without "." and ".." and control characters; no two are
// the same after normalisation (NFC), none is inside of another file. A top-level `cloister` module
// is refused: that name is the platform's.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "apis/base/result.h"
#include "apis/base/units.h"

namespace cloister {

inline constexpr Bytes kBundleFileMax = MiB(32);
inline constexpr Bytes kBundleMax = MiB(256);
inline constexpr std::size_t kBundleFilesMax = 20000;
inline constexpr std::size_t kBundlePathMax = 1024;  // bytes
inline constexpr std::size_t kBundleNameMax = 255;   // bytes, of one part of a path
inline constexpr std::size_t kBundleDepthMax = 64;   // parts of a path

// Checks the files of one bundle, one after the other, in any order.
class BundleRules {
 public:
  // kInvalidArgument: the path is bad, a duplicate or inside of another file. kQuotaExceeded: this
  // file or the bundle is too large, or there are too many files. The message names the path,
  // escaped where it cannot be shown. After an error the object is spent.
  Result<void> Add(std::string_view path, std::uint64_t size);

  std::size_t files() const { return files_; }
  Bytes total() const { return total_; }

 private:
  enum class Kind { kFile, kFolder };

  Result<void> Claim(const std::string& normal, std::string_view shown);

  std::size_t files_ = 0;
  Bytes total_;
  std::unordered_map<std::string, Kind> claimed_;  // normalised path: what it is
};

// The rules for one path by itself.
Result<void> CheckBundlePath(std::string_view path);

// `path` for people: bytes that are not printable UTF-8 as \xNN, cut at 200 bytes, in quotes.
std::string ShowPath(std::string_view path);

}  // namespace cloister
