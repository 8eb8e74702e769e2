#include "config/render.h"

#include <string_view>

#include "config/values.h"

namespace cloister {
namespace {

std::string RenderText(const std::string& value) {
  return QuoteToml(value);
}
std::string RenderList(const std::vector<std::string>& items) {
  std::string list = "[";
  for (const std::string& item : items)
    list += (list.size() == 1 ? "" : ", ") + QuoteToml(item);
  return list + "]";
}
std::string RenderNetworks(const std::vector<IpNetwork>& networks) {
  std::vector<std::string> texts;
  texts.reserve(networks.size());
  for (const IpNetwork& network : networks)
    texts.push_back(network.Text());
  return RenderList(texts);
}
std::string RenderCount(std::uint32_t count) {
  return std::to_string(count);
}
std::string RenderSize(Bytes size) {
  return QuoteToml(SizeText(size));
}
std::string RenderDuration(Millis duration) {
  return QuoteToml(DurationText(duration));
}
std::string RenderCores(std::uint32_t millis) {
  return CoresText(millis);
}
std::string RenderFlag(bool flag) {
  return flag ? "true" : "false";
}
std::string RenderLevel(LogLevel level) {
  return QuoteToml(LevelText(level));
}

// The range of a row for its comment; of some units there is nothing to say.
std::string RangeText(const std::string& low, const std::string& high) {
  return " From " + low + " to " + high + ".";
}
std::string TextRange(std::size_t /*low*/, std::size_t /*high*/) {
  return "";
}
std::string ListRange(std::size_t /*low*/, std::size_t /*high*/) {
  return "";
}
std::string NetworksRange(std::size_t /*low*/, std::size_t /*high*/) {
  return "";
}
std::string LevelRange(int /*low*/, int /*high*/) {
  return "";
}
std::string FlagRange(int /*low*/, int /*high*/) {
  return "";
}
std::string CountRange(std::uint32_t low, std::uint32_t high) {
  return RangeText(std::to_string(low), std::to_string(high));
}
std::string SizeRange(Bytes low, Bytes high) {
  return RangeText(SizeText(low), SizeText(high));
}
std::string DurationRange(Millis low, Millis high) {
  return RangeText(DurationText(low), DurationText(high));
}
std::string CoresRange(std::uint32_t low, std::uint32_t high) {
  return RangeText(CoresText(low), CoresText(high)) + " Cores.";
}

void AppendSection(std::string& out, std::string_view name, std::string_view sentence) {
  out += out.empty() ? "" : "\n";
  ((out += "# ") += sentence) += "\n[";
  (out += name) += "]\n";
}

void AppendSetting(std::string& out, std::string_view key, const std::string& value,
                   const std::string& comment) {
  out += "# " + comment + "\n" + std::string(key) + " = " + value + "\n";
}

}  // namespace

std::string RenderSettings(const Settings& settings) {
  std::string out;
#define SECTION(name, sentence) AppendSection(out, #name, sentence);
#define SETTING(section, key, field, unit, low, high, sentence) \
  AppendSetting(out, #key, Render##unit(settings.field), sentence + unit##Range(low, high));
#include "config/schema.def"
  return out;
}

}  // namespace cloister
