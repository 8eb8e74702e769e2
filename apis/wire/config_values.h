#pragma once

// An app's config on its way to a worker: the payload of kConfig frames.
//
//   per key: u8 flags (1: a secret) | str16 name | str32 value
//
// Little-endian, sorted by name, one behind the other to the end. Larger than one frame it goes on
// in the next ones (kFrameMore), cut anywhere.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/result.h"

namespace cloister {

// More than any quota allows.
inline constexpr std::size_t kConfigPayloadMax = std::size_t{2} << 20;

struct ConfigValue {
  std::string_view name;
  std::string_view value;
  bool secret = false;
};

// Appends them to `payload`.
void EncodeConfig(std::string& payload, const std::vector<ConfigValue>& values);
// kProtocol for what is cut off. Views into `payload`.
Result<std::vector<ConfigValue>> ReadConfig(std::string_view payload);

// Appends the kConfig frames of `payload` to `out`: one at least.
void AppendConfigFrames(std::string& out, std::string_view payload);

}  // namespace cloister
