#include "daemon/cli/config.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "apis/base/clock.h"
#include "apis/base/unique_fd.h"
#include "config/config_rules.h"
#include "daemon/cli/app_ref.h"
#include "daemon/cli/follow.h"
#include "daemon/cli/progress.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

// More than any quota allows for a value.
constexpr std::size_t kValueMax = std::size_t{1} << 20;
// Of a value in a table so many characters are shown.
constexpr std::size_t kShownMax = 60;

const char* PartOf(ConfigKeys keys) {
  return keys == ConfigKeys::kSecrets ? "/secrets" : "/config";
}

// The terminal does not show what is typed, for as long as this lives. Signals that end or stop the
// process come when the terminal is as it was before.
class WithoutEcho {
 public:
  WithoutEcho() {
    sigset_t held = {};
    ::sigemptyset(&held);
    for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP})
      ::sigaddset(&held, signal);
    signals_ = UniqueFd(::signalfd(-1, &held, SFD_CLOEXEC));
    if (signals_.valid())
      (void)::sigprocmask(SIG_BLOCK, &held, &mask_before_);
    if (::tcgetattr(STDIN_FILENO, &before_) != 0)
      return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    changed_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0;
  }
  WithoutEcho(const WithoutEcho&) = delete;
  WithoutEcho& operator=(const WithoutEcho&) = delete;
  ~WithoutEcho() {
    if (changed_)
      (void)::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    if (signals_.valid())
      (void)::sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
  }

  // Whether there is something to read; false: a signal came first.
  bool WaitForInput() const {
    std::array<pollfd, 2> waits = {pollfd{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                                   pollfd{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0}};
    while (::poll(waits.data(), waits.size(), -1) < 0 && errno == EINTR)
      continue;
    return waits[0].revents == 0;
  }

 private:
  UniqueFd signals_;  // readable while one of them waits
  sigset_t mask_before_ = {};
  termios before_ = {};
  bool changed_ = false;
};

// All of stdin, or a line of a terminal; nothing: a signal came first.
Attempt<std::optional<std::string>> ReadInput(const WithoutEcho* terminal) {
  std::string text;
  std::array<char, 4096> part = {};
  for (;;) {
    if (terminal != nullptr && !terminal->WaitForInput())
      return std::optional<std::string>();
    const ssize_t count = ::read(STDIN_FILENO, part.data(), part.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return FailureOf(SystemError("reading the value"), "file_unreadable");
    text.append(part.data(), static_cast<std::size_t>(count));
    if (text.size() > kValueMax)
      return Failure{ExitCode::kRefused, "config_full", "the value has more than 1 MiB", "", ""};
    if (count == 0 || (terminal != nullptr && text.ends_with('\n')))
      return std::optional(std::move(text));
  }
}

Attempt<std::string> ReadUnseen(Console& console, const std::string& name) {
  // Again when the process was stopped and goes on.
  for (;;) {
    console.Note("Value of " + name + ", which is not shown; end it with Enter:");
    const WithoutEcho without_echo;
    if (std::optional<std::string> line = TRY(ReadInput(&without_echo)))
      return std::move(*line);
  }
}

Failure NoValue(const std::string& name) {
  return {ExitCode::kUsage, "usage", "there is no value on stdin",
          "write it like: printf %s \"$TOKEN\" | cloister secrets set APP " + name, ""};
}

// Before anything is sent: JSON would carry another value than what was given.
Attempt<void> CheckPair(const std::string& name, const std::string& value) {
  if (Result<void> fits = CheckConfigName(name); !fits.ok())
    return FailureOf({fits.error().code, Harmless(fits.error().message)}, "config_invalid",
                     ExitCode::kUsage);
  if (Result<void> fits = CheckConfigValue(value); !fits.ok())
    return FailureOf({fits.error().code, Harmless(name) + ": " + fits.error().message},
                     "config_invalid", ExitCode::kUsage);
  return {};
}

Attempt<std::string> ReadSecret(Console& console, const std::string& name) {
  const bool terminal = ::isatty(STDIN_FILENO) != 0;
  std::string value =
      terminal ? TRY(ReadUnseen(console, name)) : TRY(ReadInput(nullptr)).value_or("");
  // What a line ends with is not part of it.
  if (value.ends_with('\n'))
    value.pop_back();
  if (value.empty())
    return NoValue(name);
  return value;
}

// One value is all of stdin; of several each is a line. A terminal is asked for one after another.
Attempt<std::vector<std::string>> ReadSecrets(Console& console,
                                              const std::vector<std::string>& names) {
  std::vector<std::string> values;
  if (names.size() == 1 || ::isatty(STDIN_FILENO) != 0) {
    for (const std::string& name : names)
      values.push_back(TRY(ReadSecret(console, name)));
    return values;
  }
  std::string text = TRY(ReadInput(nullptr)).value_or("");
  if (!text.empty() && !text.ends_with('\n'))
    text += '\n';
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    values.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  if (values.size() != names.size())
    return Failure{ExitCode::kUsage, "usage",
                   fmt::format("{} keys need a line of stdin each, and it has {}", names.size(),
                               values.size()),
                   "", "a value of several lines is set alone, as all of stdin"};
  for (std::size_t i = 0; i < names.size(); ++i)
    if (values[i].empty())
      return NoValue(names[i]);
  return values;
}

Attempt<void> CheckSecretNames(const std::vector<std::string>& names) {
  for (auto name = names.begin(); name != names.end(); ++name) {
    if (name->find('=') != std::string::npos)
      return Failure{ExitCode::kUsage, "usage",
                     "the value of a secret is not written on the command line, where others see "
                     "it, but read from stdin",
                     "", "cloister secrets set APP " + name->substr(0, name->find('='))};
    TRY(CheckPair(*name, ""));
    if (std::find(names.begin(), name, *name) != name)
      return Failure{ExitCode::kUsage, "config_invalid", "'" + *name + "' is there twice", "", ""};
  }
  return {};
}

Attempt<Json> SecretChangesOf(Console& console, const std::vector<std::string>& names) {
  Json changes = Json::array();
  TRY(CheckSecretNames(names));
  const std::vector<std::string> values = TRY(ReadSecrets(console, names));
  for (std::size_t i = 0; i < values.size(); ++i) {
    TRY(CheckPair(names[i], values[i]));
    changes.push_back({{"name", names[i]}, {"value", values[i]}});
  }
  return changes;
}

Attempt<Json> ChangesOf(Console& console, const ConfigWish& wish) {
  if (wish.keys == ConfigKeys::kSecrets)
    return SecretChangesOf(console, wish.words);
  Json changes = Json::array();
  for (const std::string& word : wish.words) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0)
      return Failure{ExitCode::kUsage, "usage", "'" + word + "' is not KEY=VALUE",
                     "write it like PAGE_SIZE=20; secrets are set with `cloister secrets`", ""};
    const std::string name = word.substr(0, equals);
    const std::string value = word.substr(equals + 1);
    TRY(CheckPair(name, value));
    changes.push_back({{"name", name}, {"value", value}});
  }
  return changes;
}

// Why the version did not come in force.
Failure NotInForce(const Json& config) {
  if (TextOf(config, "state") != "failed")
    return {ExitCode::kFailed, "interrupted",
            "the node was replaced before the config was in force", "",
            "the former config serves on; `cloister config history` shows what becomes of it"};
  Failure failure = RejectionOf(config);
  // Without the node's key no worker starts with the former one either.
  if (failure.code == "config_unreadable")
    return failure;
  if (!failure.advice.empty())
    failure.advice += " ";
  failure.advice += "The former config serves on.";
  return failure;
}

std::string Joined(const Json& names) {
  std::string text;
  for (const Json& name : names)
    if (name.is_string())
      text += (text.empty() ? "" : ", ") + Harmless(name.get_ref<const std::string&>());
  return text;
}

// What a rollback has changed.
void TellBack(Console& console, const Json& back) {
  const std::string changed = Joined(ListOf(back, "names"));
  const std::string gone = Joined(ListOf(back, "gone"));
  if (NumberOf(back, "as_in") == 0)
    return;
  console.Line(fmt::format("  with the plain values of config {}{}{}; secrets stay as they were",
                           NumberOf(back, "as_in"), changed.empty() ? "" : "; changed: " + changed,
                           gone.empty() ? "" : "; gone: " + gone));
}

// To the end of what the node makes of a change, which it has answered.
Attempt<void> Conclude(AdminApi& api, Console& console, const AppName& app, const Json& answer,
                       bool no_wait) {
  const SystemClock clock;
  const MonotonicTime started = clock.Now();
  const std::uint64_t version = NumberOf(answer, "version");
  const Json& release = ObjectOf(answer, "release");
  const bool walks = FlagOf(release, "under_way");
  std::string state = walks ? "wanted" : "in_force";
  if (walks && !no_wait) {
    TRY(FollowRelease(api, app, release, LastStep(release), console));
    const Json config = TRY(api.Get(AppTarget(app, "/config?version=" + std::to_string(version))));
    state = TextOf(config, "state");
    if (state != "in_force" && state != "former")
      return NotInForce(config);
  }
  const auto elapsed = std::chrono::duration_cast<Millis>(clock.Now() - started);
  if (console.json())
    console.Raw(Dump({{"app", app.ToString()},
                      {"version", version},
                      {"changed", FlagOf(answer, "changed")},
                      {"state", state},
                      {"back", ObjectOf(answer, "back")},
                      {"elapsed_ms", elapsed.count()}}) +
                "\n");
  else if (!FlagOf(answer, "changed"))
    console.Line(
        fmt::format("{}: nothing changes, config {} is in force", app.ToString(), version));
  else if (state == "wanted")
    console.Line(
        fmt::format("{}: config {} is stored and being checked; `cloister config history "
                    "{}` shows how that ended",
                    app.ToString(), version, app.ToString()));
  else
    console.Line(fmt::format("{}: config {} is in force{}", app.ToString(), version,
                             walks ? " after " + FormatDuration(elapsed) : ""));
  TellBack(console, ObjectOf(answer, "back"));
  return {};
}

Attempt<void> Change(AdminApi& api, Console& console, const ConfigWish& wish, const Json& changes) {
  const AppName app = TRY(ResolveApp(api, wish.app));
  const Json answer = TRY(api.Post(AppTarget(app, PartOf(wish.keys)), {{"changes", changes}}));
  return Conclude(api, console, app, answer, wish.no_wait);
}

// A value in one cell of a table.
std::string ShownValue(const Json& value) {
  if (FlagOf(value, "secret"))
    return "(secret)";
  std::string shown;
  for (const char c : Harmless(TextOf(value, "value")))
    shown += c == '\n' ? std::string("\\n") : std::string(1, c);
  if (shown.size() > kShownMax) {
    std::size_t end = kShownMax;
    // Not within a character.
    while (end > 0 && (static_cast<unsigned char>(shown[end]) & 0xc0U) == 0x80U)
      --end;
    shown = shown.substr(0, end) + "...";
  }
  return shown;
}

}  // namespace

Attempt<void> ListConfig(AdminApi& api, Console& console, const ConfigWish& wish) {
  const AppName app = TRY(ResolveApp(api, wish.app));
  const Json answer = TRY(api.Get(AppTarget(app, PartOf(wish.keys))));
  if (console.json()) {
    console.Raw(Dump(answer) + "\n");
    return {};
  }
  const bool secrets = wish.keys == ConfigKeys::kSecrets;
  std::vector<std::vector<std::string>> rows;
  for (const Json& value : ListOf(answer, secrets ? "secrets" : "values"))
    rows.push_back({Harmless(TextOf(value, "name")), ShownValue(value), TextOf(value, "set_at"),
                    Harmless(TextOf(value, "set_by"))});
  const std::uint64_t in_force = NumberOf(answer, "in_force");
  if (rows.empty())
    console.Line(app.ToString() + (secrets ? " has no secrets" : " has no config"));
  else
    console.Table({"KEY", "VALUE", "SET AT", "BY"}, rows);
  if (in_force != 0)
    console.Note(fmt::format("config {} is in force", in_force));
  return {};
}

Attempt<void> SetConfig(AdminApi& api, Console& console, const ConfigWish& wish) {
  const Json changes = TRY(ChangesOf(console, wish));
  return Change(api, console, wish, changes);
}

Attempt<void> UnsetConfig(AdminApi& api, Console& console, const ConfigWish& wish) {
  Json changes = Json::array();
  for (const std::string& name : wish.words)
    changes.push_back({{"name", name}});
  return Change(api, console, wish, changes);
}

Attempt<void> ShowConfigHistory(AdminApi& api, Console& console, const ConfigWish& wish) {
  const AppName app = TRY(ResolveApp(api, wish.app));
  const Json answer = TRY(api.Get(AppTarget(app, "/config/history?limit=100")));
  if (console.json()) {
    console.Raw(Dump(answer) + "\n");
    return {};
  }
  std::vector<std::vector<std::string>> rows;
  for (const Json& version : ListOf(answer, "versions")) {
    std::string state = TextOf(version, "state");
    if (state == "in_force")
      state = "in force";
    std::string what = TextOf(version, "action") + " " + TextOf(version, "detail");
    const Json& report = ObjectOf(version, "report");
    if (const std::string code = TextOf(report, "code"); !code.empty())
      what += "; " + code + ": " + RejectionOf(version).what;
    rows.push_back({std::to_string(NumberOf(version, "version")), std::move(state),
                    TextOf(version, "created_at"), Harmless(TextOf(version, "created_by")),
                    Harmless(what.substr(0, what.find('\n')))});
  }
  if (rows.empty())
    console.Line(app.ToString() + " has no config");
  else
    console.Table({"CONFIG", "STATE", "WHEN", "BY", "WHAT"}, rows);
  return {};
}

Attempt<void> RollbackConfig(AdminApi& api, Console& console, const ConfigWish& wish) {
  Json body = Json::object();
  if (!wish.version.empty()) {
    std::uint64_t version = 0;
    const char* end = wish.version.data() + wish.version.size();
    const auto [stop, bad] = std::from_chars(wish.version.data(), end, version);
    if (bad != std::errc() || stop != end || version == 0)
      return Failure{ExitCode::kUsage, "usage", "'" + wish.version + "' is not a config's number",
                     "`cloister config history APP` lists them", ""};
    body["version"] = version;
  }
  const AppName app = TRY(ResolveApp(api, wish.app));
  const Json answer = TRY(api.Post(AppTarget(app, "/config/rollback"), body));
  return Conclude(api, console, app, answer, wish.no_wait);
}

}  // namespace cloister
