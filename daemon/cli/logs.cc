#include "daemon/cli/logs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <thread>

#include <nlohmann/json.hpp>

#include "apis/base/time_text.h"
#include "daemon/cli/app_ref.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

// Events of 256 KiB each still make an answer that the client takes.
constexpr std::uint64_t kPage = 100;
constexpr Millis kWait{20000};
constexpr Millis kLostPause{500};

// The value of a base64 digit; 64 for anything else.
unsigned Base64Digit(char c) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  return static_cast<unsigned>(std::min(kDigits.find(c), kDigits.size()));
}

std::string_view LevelName(std::uint64_t number) {
  constexpr std::array<std::string_view, 6> kNames = {"notset",  "debug", "info",
                                                      "warning", "error", "critical"};
  return kNames[std::min<std::size_t>(number / 10, kNames.size() - 1)];
}

std::string CountOfEvents(std::uint64_t count) {
  return std::to_string(count) + (count == 1 ? " event was" : " events were");
}

// What of the options the node is to filter by, as parameters of a query, each with a '&' behind
// it.
std::string FilterQuery(const LogOptions& options) {
  std::string query;
  const auto add = [&query](std::string_view name, std::string_view value) {
    if (!value.empty())
      query += fmt::format("{}={}&", name, PercentEncoded(value));
  };
  add("since", options.since ? TimeText(*options.since) : "");
  add("level", options.level);
  add("release", options.release);
  add("request", options.request_id);
  return query;
}

class LogReader {
 public:
  LogReader(AdminApi& api, Console& console, const LogOptions& options, const AppName& app)
      : api_(api),
        console_(console),
        options_(options),
        target_(AppTarget(app, "/logs") + "?" + FilterQuery(options)) {}

  Attempt<void> Run() {
    TRY(options_.tail ? ReadTail(*options_.tail) : ReadAll());
    const bool follows = options_.follow == LogOptions::Follow::kYes;
    if (!shown_ && !follows)
      console_.Note(IsFiltered() ? "no events that match, of those that are kept"
                                 : "no events: the app has said nothing yet");
    if (console_.json() && !follows)
      console_.Raw(Dump({{"events", collected_}, {"next", next_}, {"lost", lost_}}) + "\n");
    while (follows)
      TRY(ReadOn());
    return {};
  }

 private:
  // Asks for a page and remembers where the next begins.
  Attempt<Json> Page(const std::string& query, Millis wait) {
    Attempt<Json> answer = api_.Get(target_ + query, wait);
    if (!answer.ok())
      return answer;
    next_ = std::max(next_, NumberOf(answer.value(), "next"));
    std::uint64_t lost = NumberOf(answer.value(), "lost");
    lost_ += lost;
    // What is lost right before an event that is shown is said there. The rest is no longer kept,
    // or stands before events that were not wanted.
    for (const Json& event : ListOf(answer.value(), "events"))
      lost -= std::min(lost, NumberOf(event, "lost"));
    if (lost > 0)
      console_.Note("-- " + CountOfEvents(lost) + " lost or no longer kept --");
    return answer;
  }

  Attempt<Json> PageAfter(Millis wait) {
    return Page(fmt::format("after={}&limit={}&wait_ms={}", next_, kPage, wait.count()), wait);
  }

  Attempt<void> ReadAll() {
    for (;;) {
      const Json page = TRY(PageAfter(Millis(0)));
      const Json& events = ListOf(page, "events");
      if (events.empty())
        return {};
      for (const Json& event : events)
        Take(event);
    }
  }

  // The last `count` that match. What comes meanwhile is shown only when following.
  Attempt<void> ReadTail(std::uint64_t count) {
    Json page = TRY(Page(fmt::format("tail={}&limit={}", count, kPage), Millis(0)));
    std::uint64_t left = count;
    while (!ListOf(page, "events").empty()) {
      for (const Json& event : ListOf(page, "events")) {
        if (left == 0 && options_.follow == LogOptions::Follow::kNo)
          return {};
        left -= std::min<std::uint64_t>(left, 1);
        Take(event);
      }
      page = TRY(PageAfter(Millis(0)));
    }
    return {};
  }

  // Waits for what comes. The node may restart: its log goes on where it was.
  Attempt<void> ReadOn() {
    const Attempt<Json> page = PageAfter(kWait);
    if (!page.ok() && !IsBrokenConnection(page.error()))
      return Failure(page.error());
    if (!page.ok()) {
      std::this_thread::sleep_for(kLostPause);
      return {};
    }
    for (const Json& event : ListOf(page.value(), "events"))
      Take(event);
    return {};
  }

  bool IsFiltered() const {
    return options_.since || options_.tail == 0 || !options_.level.empty() ||
           !options_.release.empty() || !options_.request_id.empty();
  }

  void Take(const Json& event) {
    shown_ = true;
    if (!console_.json())
      console_.Raw(LostBefore(event) + Heading(event) + Text(event));
    else if (options_.follow == LogOptions::Follow::kYes)
      console_.Raw(Dump(event) + "\n");
    else
      collected_.push_back(event);
  }

  // The node sends the level as a name, or as the number that `logging` has for it; 0: none.
  static std::string LevelText(const Json& event) {
    const std::string name = TextOf(event, "level");
    const std::uint64_t number = NumberOf(event, "level");
    return number == 0 ? name : std::string(LevelName(number));
  }

  // The node's own event about a loss says all of this itself.
  std::string LostBefore(const Json& event) const {
    const std::uint64_t lost = NumberOf(event, "lost");
    return lost == 0 || TextOf(event, "source") == "runtime"
               ? ""
               : console_.Colour(Paint::kYellow,
                                 "-- " + CountOfEvents(lost) + " lost: over the log's rate --") +
                     "\n";
  }

  std::string Heading(const Json& event) const {
    const std::string level = LevelText(event);
    const std::string logger = TextOf(event, "logger");
    std::string heading = TextOf(event, "time") + " " + TextOf(event, "release") +
                          (FlagOf(event, "check") ? " [check] " : " ") +
                          (FlagOf(event, "redacted") ? "[redacted] " : "") +
                          TextOf(event, "source");
    if (!level.empty())
      heading += " " + level;
    if (!logger.empty())
      heading += " " + ValueText(logger);
    if (const std::string id = TextOf(event, "request_id"); !id.empty())
      heading += " " + id;
    return console_.Colour(Paint::kDim, Harmless(heading)) + "  ";
  }

  // A field's value: as it is where that is one word, else as JSON.
  static std::string ValueText(const Json& value) {
    if (!value.is_string())
      return Dump(value);
    const auto& text = value.get_ref<const std::string&>();
    const bool plain = !text.empty() && std::ranges::none_of(text, [](char c) {
      return static_cast<unsigned char>(c) <= 0x20 || c == '"' || c == '=' || c == '\\' ||
             c == 0x7f;
    });
    return plain ? text : Dump(value);
  }

  // " key=value" of each field. A traceback that the event's text has already is left out.
  static std::string FieldsText(const Json& event, std::string_view bytes) {
    std::string text;
    for (const auto& [name, value] : ObjectOf(event, "fields").items()) {
      const bool is_traceback = name == "exc_info" || name == "stack_info";
      std::string shown = value.is_string() ? value.get<std::string>() : "";
      if (shown.starts_with("..."))
        shown.erase(0, 3);
      if (is_traceback && bytes.find(shown) != std::string_view::npos)
        continue;
      text += " " + ValueText(name) + "=" + ValueText(value);
    }
    return Harmless(text);
  }

  // The event for people: its fields behind its first line; further lines indented, so that none
  // looks like an event of its own.
  static std::string Text(const Json& event) {
    std::string bytes =
        event.contains("base64") ? DecodeBase64(TextOf(event, "base64")) : TextOf(event, "text");
    if (bytes.ends_with('\n'))
      bytes.pop_back();
    const std::string harmless = Harmless(bytes);
    const std::size_t line = std::min(harmless.find('\n'), harmless.size());
    std::string text = harmless.substr(0, line) + FieldsText(event, bytes);
    for (const char c : harmless.substr(line))
      text += c == '\n' ? std::string("\n    ") : std::string(1, c);
    return text + (event.contains("cut") ? " [cut]\n" : "\n");
  }

  AdminApi& api_;
  Console& console_;
  const LogOptions& options_;
  std::string target_;
  std::uint64_t next_ = 0;
  std::uint64_t lost_ = 0;
  bool shown_ = false;
  Json collected_ = Json::array();  // in JSON format, when it does not follow
};

}  // namespace

std::string DecodeBase64(std::string_view text) {
  std::string bytes;
  unsigned bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const unsigned digit = Base64Digit(c);
    if (digit == 64)
      break;
    bits = (bits << 6 | digit) & 0xffffffU;
    count += 6;
    if (count < 8)
      continue;
    count -= 8;
    bytes += static_cast<char>(static_cast<unsigned char>(bits >> count));
  }
  return bytes;
}

Attempt<void> ShowLogs(AdminApi& api, Console& console, const LogOptions& options) {
  return LogReader(api, console, options, TRY(ResolveApp(api, options.app))).Run();
}

}  // namespace cloister
