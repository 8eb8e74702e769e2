#pragma once

// Values as people write them in our files ("64KiB", "30s", "0.5 cores"), both ways, and the words
// that help when they are wrong. Shared by the settings file and the manifest.
//
// ReadX refuses a value of another type, without a unit, or outside of [low, high]; its message is
// meant to follow "FILE:LINE: key ". What RenderX writes, ReadX reads back to the same.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/ip_address.h"
#include "apis/base/log.h"
#include "apis/base/result.h"
#include "apis/base/units.h"
#include "config/toml.h"

namespace cloister {

Result<Bytes> ReadSize(const TomlValue& value, Bytes low, Bytes high);
Result<Millis> ReadDuration(const TomlValue& value, Millis low, Millis high);
// Thousandths of a core.
Result<std::uint32_t> ReadCores(const TomlValue& value, std::uint32_t low, std::uint32_t high);
Result<std::uint32_t> ReadCount(const TomlValue& value, std::uint32_t low, std::uint32_t high);
// low and high: bytes. Control characters are refused.
Result<std::string> ReadText(const TomlValue& value, std::size_t low, std::size_t high);
// low and high: entries.
Result<std::vector<std::string>> ReadList(const TomlValue& value, std::size_t low,
                                          std::size_t high);
// Addresses and networks; low and high: entries.
Result<std::vector<IpNetwork>> ReadNetworks(const TomlValue& value, std::size_t low,
                                            std::size_t high);
// low and high mean nothing here.
Result<LogLevel> ReadLevel(const TomlValue& value, int low, int high);
Result<bool> ReadFlag(const TomlValue& value, int low, int high);
Result<bool> ReadBool(const TomlValue& value);

// As in the file, but without quotes.
std::string SizeText(Bytes size);
std::string DurationText(Millis duration);
std::string CoresText(std::uint32_t millis);
std::string_view LevelText(LogLevel level);

// `text` as a TOML string, in quotes.
std::string QuoteToml(std::string_view text);

// The one of `names` that `word` is most likely a slip of; empty when none is close.
std::string_view NearestName(std::string_view word, std::span<const std::string_view> names);

// "; did you mean 'NAME'?", or "; known: a, b, c" when no name is close.
std::string NameHint(std::string_view word, std::span<const std::string_view> names);

}  // namespace cloister
