#include "config/bundle_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "apis/base/unicode.h"
#include "config/values.h"

namespace cloister {
namespace {

Error Bad(std::string_view path, std::string_view why) {
  return Error{ErrorCode::kInvalidArgument, ShowPath(path) + " " + std::string(why)};
}

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0x7f;
  });
}

// Empty when the part is fine.
std::string_view WhatIsWrongWith(std::string_view part) {
  if (part.empty())
    return "has an empty part ('//' or a '/' at an end)";
  if (part == "." || part == "..")
    return "has a '.' or '..' in it: paths in a bundle are plain and relative";
  if (part.size() > kBundleNameMax)
    return "has a part of more than 255 bytes";
  return {};
}

bool IsPlatformName(std::string_view path) {
  const std::string_view first = path.substr(0, path.find('/'));
  return first == "cloister" || first == "cloister.py" || first == "cloister.pyc";
}

}  // namespace

std::string ShowPath(std::string_view path) {
  constexpr std::size_t kShownMax = 200;
  const bool cut = path.size() > kShownMax;
  path = path.substr(0, kShownMax);
  const bool utf8 = IsUtf8(path);
  std::string shown = "'";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !utf8))
      shown += fmt::format("\\x{:02x}", byte);
    else
      shown += c;
  }
  return shown + (cut ? "...'" : "'");
}

Result<void> CheckBundlePath(std::string_view path) {
  if (path.empty())
    return Bad(path, "is an empty path");
  if (path.size() > kBundlePathMax)
    return Bad(path, "is longer than 1024 bytes");
  if (path.front() == '/')
    return Bad(path, "is absolute: paths in a bundle are relative");
  if (HasControl(path))
    return Bad(path, "has a control character in its name");
  if (!IsUtf8(path))
    return Bad(path, "has a name that is not UTF-8");
  std::size_t depth = 0;
  for (std::string_view rest = path; ++depth <= kBundleDepthMax;) {
    const std::size_t end = rest.find('/');
    if (const std::string_view why = WhatIsWrongWith(rest.substr(0, end)); !why.empty())
      return Bad(path, why);
    if (end == std::string_view::npos)
      break;
    rest.remove_prefix(end + 1);
  }
  if (depth > kBundleDepthMax)
    return Bad(path, "has more than 64 parts");
  if (IsPlatformName(path))
    return Bad(path, "takes the name 'cloister', which is the platform's own package: rename it");
  return {};
}

Result<void> BundleRules::Add(std::string_view path, std::uint64_t size) {
  TRY(CheckBundlePath(path));
  if (++files_ > kBundleFilesMax)
    return Error{ErrorCode::kQuotaExceeded,
                 fmt::format("the bundle has more than {} files", kBundleFilesMax)};
  if (size > kBundleFileMax.count)
    return Error{ErrorCode::kQuotaExceeded,
                 fmt::format("{} has {} bytes; a file may have at most {}", ShowPath(path), size,
                             SizeText(kBundleFileMax))};
  total_.count += size;
  if (total_ > kBundleMax)
    return Error{ErrorCode::kQuotaExceeded,
                 fmt::format("the bundle is larger than {}", SizeText(kBundleMax))};
  // CheckBundlePath has seen that it is UTF-8.
  const std::u32string points = DecodeUtf8(path).value_or(std::u32string());
  return Claim(EncodeUtf8(NormalizeNfc(points)), path);
}

Result<void> BundleRules::Claim(const std::string& normal, std::string_view shown) {
  for (std::size_t slash = normal.find('/'); slash != std::string::npos;
       slash = normal.find('/', slash + 1)) {
    const auto [folder, added] = claimed_.try_emplace(normal.substr(0, slash), Kind::kFolder);
    if (folder->second == Kind::kFile)
      return Bad(shown, "is inside of " + ShowPath(folder->first) + ", which is a file");
  }
  const auto [file, added] = claimed_.try_emplace(normal, Kind::kFile);
  if (added)
    return {};
  if (file->second == Kind::kFolder)
    return Bad(shown, "is both a file and a folder");
  return Bad(shown, "is there twice (names that Unicode calls equal are the same name)");
}

}  // namespace cloister
