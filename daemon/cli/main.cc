// cloister: the command line of a node. Arguments here; what the verbs do in the files beside.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "config/log_query.h"
#include "config/settings.h"
#include "config/values.h"
#include "daemon/cli/commands.h"
#include "daemon/cli/config.h"
#include "daemon/cli/data_arguments.h"
#include "daemon/cli/deploy.h"
#include "daemon/cli/help.h"
#include "daemon/cli/local_arguments.h"
#include "daemon/cli/logs.h"
#include "daemon/cli/modules.h"
#include "daemon/cli/object_arguments.h"
#include "daemon/cli/quota.h"
#include "daemon/cli/release_arguments.h"

namespace cloister {
namespace {

// What the command line says; the verb is a call that is made once all is parsed.
struct Arguments {
  std::string socket;
  bool json = false;
  std::string name;
  std::string version;
  std::string canary;
  bool dry_run = false;
  bool force = false;
  bool allow_downgrade = false;
  bool follow = false;
  DeployOptions deploy;
  LocalArguments local;
  LogOptions logs;
  ReleaseArguments releases;
  std::vector<std::string> quotas;
  ConfigWish config;
  ObjectWish object;
  DataArguments data;
  Verb verb;
};

std::string SocketPath(const Arguments& arguments) {
  if (!arguments.socket.empty())
    return arguments.socket;
  const char* from_environment = std::getenv("CLOISTER_SOCKET");
  if (from_environment != nullptr && *from_environment != '\0')
    return from_environment;
  return std::string(kDefaultAdminSocket);
}

using DeleteVerb = Attempt<void> (*)(AdminApi&, Console&, const std::string&, Deletion);

void SetDeleteVerb(CLI::App* command, Arguments& arguments, DeleteVerb verb) {
  command->callback([&arguments, verb] {
    arguments.verb = [&arguments, verb](AdminApi& api, Console& console) {
      return verb(api, console, arguments.name,
                  arguments.force ? Deletion::kWithContents : Deletion::kOnlyEmpty);
    };
  });
}

void AddTenants(CLI::App& root, Arguments& arguments) {
  CLI::App* tenants = root.add_subcommand("tenants", "Make, list and delete tenants.");
  tenants->require_subcommand(1);
  tenants->footer(kTenantsHelp + std::string(kExitCodes));
  CLI::App* create = tenants->add_subcommand("create", "Make a tenant.");
  create->add_option("NAME", arguments.name, "Its name")->required();
  create->callback([&arguments] {
    arguments.verb = [&arguments](AdminApi& api, Console& console) {
      return CreateTenant(api, console, arguments.name);
    };
  });
  tenants->add_subcommand("list", "List all tenants.")->callback([&arguments] {
    arguments.verb = ListTenants;
  });
  CLI::App* remove = tenants->add_subcommand("delete", "Delete a tenant without apps.");
  remove->add_option("NAME", arguments.name, "Its name")->required();
  remove->add_flag("--force", arguments.force,
                   "Delete its apps as well, with their objects, databases, config and logs");
  SetDeleteVerb(remove, arguments, DeleteTenant);
}

using AppVerb = Attempt<void> (*)(AdminApi&, Console&, const std::string&);

// A verb with one argument, `title`.
CLI::App* AddNamed(CLI::App& parent, Arguments& arguments, const std::string& name,
                   const std::string& what, AppVerb verb) {
  CLI::App* command = parent.add_subcommand(name, what);
  command->callback([&arguments, verb] {
    arguments.verb = [&arguments, verb](AdminApi& api, Console& console) {
      return verb(api, console, arguments.name);
    };
  });
  return command;
}

void AddApps(CLI::App& root, Arguments& arguments) {
  CLI::App* apps = root.add_subcommand("apps", "Make, list, show and delete apps.");
  apps->require_subcommand(1);
  apps->footer(kAppsHelp + std::string(kExitCodes));
  AddNamed(*apps, arguments, "create", "Make an app.", CreateApp)
      ->add_option("APP", arguments.name, kAppHelp)
      ->required();
  AddNamed(*apps, arguments, "list", "List apps, of all tenants or of one.", ListApps)
      ->add_option("TENANT", arguments.name, "Only this tenant's");
  AddNamed(*apps, arguments, "info", "Show what there is to know of an app.", ShowApp)
      ->add_option("APP", arguments.name, kAppHelp)
      ->required();
  CLI::App* remove =
      apps->add_subcommand("delete", "Delete an app, with --force also all that it keeps.");
  remove->add_option("APP", arguments.name, kAppHelp)->required();
  remove->add_flag("--force", arguments.force,
                   "Also when it is live, or has objects, a database, config or secrets");
  SetDeleteVerb(remove, arguments, DeleteApp);
}

// "10" or "10%".
std::string ReadPercent(const std::string& text, std::uint32_t& percent) {
  const std::string_view digits =
      std::string_view(text).substr(0, text.size() - (text.ends_with('%') ? 1 : 0));
  const auto [end, bad] = std::from_chars(digits.data(), digits.data() + digits.size(), percent);
  const bool fits =
      bad == std::errc() && end == digits.data() + digits.size() && percent >= 1 && percent <= 99;
  return fits ? "" : "a share is 1% to 99%, not '" + text + "'";
}

// What `deploy` and `check` have in common.
void AddBundleOptions(CLI::App* deploy, Arguments& arguments) {
  deploy->add_option("DIR", arguments.deploy.folder, "The directory with cloister.toml")
      ->option_text("(.)");
  deploy
      ->add_option("--app", arguments.deploy.app,
                   "Deploy to this APP instead of the one that the manifest names")
      ->option_text("APP");
  deploy->add_flag("--allow-downgrade", arguments.allow_downgrade,
                   "Accept a version that is lower than the live one");
  deploy
      ->add_option("--python", arguments.deploy.python,
                   "The Python 3.11 that [bundle] packages are taken from")
      ->option_text("PYTHON (" + arguments.deploy.python + ")");
}

void SetDeployVerb(CLI::App* deploy, Arguments& arguments) {
  deploy->callback([&arguments] {
    arguments.verb = [&arguments](AdminApi& api, Console& console) {
      if (arguments.allow_downgrade)
        arguments.deploy.downgrade = DeployOptions::Downgrade::kAllow;
      if (arguments.dry_run)
        arguments.deploy.goal = DeployOptions::Goal::kCheck;
      else if (!arguments.canary.empty())
        arguments.deploy.goal = DeployOptions::Goal::kCanary;
      return Deploy(api, console, arguments.deploy);
    };
  });
}

void AddCheck(CLI::App& root, Arguments& arguments) {
  CLI::App* check =
      root.add_subcommand("check", "Try a directory as a release without putting it live.");
  AddBundleOptions(check, arguments);
  check->footer(
      "The same steps as `cloister deploy` up to its checks, on the node and in confined workers;\n"
      "requests go on to the release that is live. What was checked can be put live with\n"
      "`cloister promote`. An app that is not there yet is created.\n\n"
      "Examples:\n"
      "  cloister check\n"
      "  cloister check docs/examples/hello --app demo/hello --json\n\n" +
      std::string(kExitCodes));
  check->preparse_callback([&arguments](std::size_t) { arguments.dry_run = true; });
  SetDeployVerb(check, arguments);
}

void AddDeploy(CLI::App& root, Arguments& arguments) {
  CLI::App* deploy =
      root.add_subcommand("deploy", "Make a release of a directory and put it live.");
  AddBundleOptions(deploy, arguments);
  CLI::Option* dry_run =
      deploy->add_flag("--dry-run", arguments.dry_run, "Stop when it is checked: as `check`");
  deploy
      ->add_option("--canary", arguments.canary,
                   "Give it this share of the requests, beside the live release")
      ->option_text("PERCENT")
      ->check([&arguments](const std::string& text) {
        return ReadPercent(text, arguments.deploy.canary_percent);
      })
      ->excludes(dry_run);
  deploy
      ->add_flag("--no-rehearsal", arguments.deploy.no_rehearsal,
                 "Run [entry] release for good at once, without trying it and without checks")
      ->excludes(dry_run);
  deploy->footer(kDeployHelp + std::string(kExitCodes));
  SetDeployVerb(deploy, arguments);
}

using ReleaseVerb = Attempt<void> (*)(AdminApi&, Console&, const std::string&, const std::string&);

CLI::App* AddOfRelease(CLI::App& root, Arguments& arguments, const std::string& name,
                       const std::string& what, ReleaseVerb verb) {
  CLI::App* command = root.add_subcommand(name, what);
  command->add_option("APP", arguments.name, kAppHelp)->required();
  command->callback([&arguments, verb] {
    arguments.verb = [&arguments, verb](AdminApi& api, Console& console) {
      return verb(api, console, arguments.name, arguments.version);
    };
  });
  return command;
}

// What is wrong, for CLI11; empty: nothing.
template <typename T>
std::string Complaint(const Result<T>& read) {
  return read.ok() ? "" : read.error().message;
}

std::optional<WallTime> SinceOf(const std::string& text) {
  Result<WallTime> since = ReadSince(text, SystemClock().Wall());
  return since.ok() ? std::optional(since.value()) : std::nullopt;
}

void AddLogs(CLI::App& root, Arguments& arguments) {
  CLI::App* logs = root.add_subcommand("logs", "Show an app's log.");
  logs->add_option("APP", arguments.logs.app, kAppHelp)->required();
  logs->add_flag("-f,--follow", arguments.follow, "Go on with events as they come, until Ctrl-C");
  logs->add_option("-n,--tail", arguments.logs.tail,
                   "Only the last N of the events that are there already")
      ->option_text("N (all)")
      ->check(CLI::Range(0, 100000));
  logs->add_option_function<std::string>(
          "--since",
          [&arguments](const std::string& text) { arguments.logs.since = SinceOf(text); },
          "Only events from then on: a time, or how long ago")
      ->option_text("TIME")
      ->check(
          [](const std::string& text) { return Complaint(ReadSince(text, SystemClock().Wall())); });
  logs->add_option("--level", arguments.logs.level,
                   "Only events at this level or above: debug, info, warning, error, critical")
      ->option_text("LEVEL")
      ->check([](const std::string& text) { return Complaint(ReadEventLevel(text)); });
  const auto not_empty = [](const std::string& text) {
    return text.empty() ? "it cannot be empty" : "";
  };
  logs->add_option("--release", arguments.logs.release, "Only events of this version")
      ->option_text("V")
      ->check(not_empty);
  logs->add_option("--request", arguments.logs.request_id,
                   "Only events of the request with this X-Request-Id")
      ->option_text("ID")
      ->check(not_empty);
  logs->footer(kLogsHelp + std::string(kExitCodes));
  logs->callback([&arguments] {
    arguments.verb = [&arguments](AdminApi& api, Console& console) {
      arguments.logs.follow = arguments.follow ? LogOptions::Follow::kYes : LogOptions::Follow::kNo;
      return ShowLogs(api, console, arguments.logs);
    };
  });
}

void AddVerify(CLI::App& root, Arguments& arguments) {
  CLI::App* verify =
      AddNamed(root, arguments, "verify", "Check what the node stores of apps.", VerifyStore);
  verify->add_option("APP", arguments.name, "Only this app's: " + std::string(kAppHelp));
  verify->footer(kVerifyHelp + std::string(kExitCodes));
}

void AddModules(CLI::App& root, Arguments& arguments) {
  CLI::App* modules = AddOfRelease(root, arguments, "modules",
                                   "List the modules that a release has loaded.", ListModules);
  modules->get_option("APP")->required(false);
  modules->add_option("VERSION", arguments.version, "Of which release")
      ->option_text("(the live one)");
  modules->footer(kModulesHelp + std::string(kExitCodes));
}

constexpr const char* kOwnerHelp = "TENANT, or TENANT/NAME for an app";

using QuotaVerb = Attempt<void> (*)(AdminApi&, Console&, const std::string&,
                                    const std::vector<std::string>&);

// A verb that changes quotas; returns its option for what is to change.
CLI::Option* AddQuotaChange(CLI::App& quota, Arguments& arguments, const std::string& name,
                            const std::string& what, QuotaVerb verb) {
  CLI::App* command = quota.add_subcommand(name, what);
  command->add_option("OWNER", arguments.name, kOwnerHelp)->required();
  command->callback([&arguments, verb] {
    arguments.verb = [&arguments, verb](AdminApi& api, Console& console) {
      return verb(api, console, arguments.name, arguments.quotas);
    };
  });
  return command->add_option("CHANGES", arguments.quotas)->required();
}

void AddQuota(CLI::App& root, Arguments& arguments) {
  CLI::App* quota = root.add_subcommand("quota", "Show and set what tenants and apps may use.");
  quota->require_subcommand(1);
  quota->footer(kQuotaHelp + std::string(kExitCodes));
  AddNamed(*quota, arguments, "show", "List the quotas of an app, a tenant or the node.", ShowQuota)
      ->add_option("OWNER", arguments.name, std::string(kOwnerHelp) + " (the node's)");
  AddQuotaChange(*quota, arguments, "set", "Set quotas of a tenant or an app.", SetQuotas)
      ->description("Each as in the settings file: limits.memory=128MiB")
      ->option_text("NAME=VALUE...");
  AddQuotaChange(*quota, arguments, "unset", "Leave quotas to what holds for all.", UnsetQuotas)
      ->description("The names of quotas")
      ->option_text("NAME...");
}

using ConfigVerb = Attempt<void> (*)(AdminApi&, Console&, const ConfigWish&);

// `name` with an asterisk at its end: a verb that changes the config.
CLI::App* AddConfigVerb(CLI::App& parent, Arguments& arguments, std::string name,
                        const std::string& what, ConfigVerb verb) {
  const bool changes = name.ends_with('*');
  name.resize(name.size() - (changes ? 1 : 0));
  CLI::App* command = parent.add_subcommand(name, what);
  command->add_option("APP", arguments.config.app, kAppHelp)->required();
  if (changes)
    command->add_flag("--no-wait", arguments.config.no_wait,
                      "Only store it; the node checks it and puts it in force, or not");
  const bool secrets = parent.get_name() == "secrets";
  command->callback([&arguments, verb, secrets] {
    arguments.config.keys = secrets ? ConfigKeys::kSecrets : ConfigKeys::kPlain;
    arguments.verb = [&arguments, verb](AdminApi& api, Console& console) {
      return verb(api, console, arguments.config);
    };
  });
  return command;
}

void AddConfig(CLI::App& root, Arguments& arguments) {
  std::vector<std::string>& words = arguments.config.words;
  CLI::App* config = root.add_subcommand("config", "Show and change the config of an app.");
  CLI::App* secrets = root.add_subcommand("secrets", "Set secrets of an app, which nobody reads.");
  for (CLI::App* parent : {config, secrets}) {
    parent->require_subcommand(1);
    parent->footer((parent == config ? kConfigHelp : kSecretsHelp) + std::string(kExitCodes));
    AddConfigVerb(*parent, arguments, "list", "List the keys, who set them and when.", ListConfig);
    AddConfigVerb(*parent, arguments, "unset*", "Remove keys.", UnsetConfig)
        ->add_option("KEY", words, "Their names")
        ->required();
  }
  AddConfigVerb(*config, arguments, "set*", "Set keys, all in one change.", SetConfig)
      ->add_option("KEY=VALUE", words, "What to set")
      ->required();
  AddConfigVerb(*secrets, arguments, "set*", "Set secrets to what is read from stdin.", SetConfig)
      ->add_option("KEY", words, "Their names")
      ->required();
  AddConfigVerb(*config, arguments, "history", "List the versions of the config.",
                ShowConfigHistory);
  AddConfigVerb(*config, arguments, "rollback*", "Go back to former values.", RollbackConfig)
      ->add_option("VERSION", arguments.config.version, "The number of the config")
      ->option_text("(the one before)");
}

void AddLists(CLI::App& root, Arguments& arguments) {
  CLI::App* ps = AddNamed(root, arguments, "ps", "List the workers that run.", ListWorkers);
  ps->add_option("APP", arguments.name, "Only this app's: " + std::string(kAppHelp));
  ps->footer(
      "A worker is a confined process of one release. An app that nobody asks has none; the\n"
      "next request starts one.\n\n"
      "MEMORY is all that a worker has in memory beside files. It is born with about 20 MB that\n"
      "all workers share until they write to it, so together they use less than the sum.\n\n"
      "Examples:\n"
      "  cloister ps\n"
      "  cloister ps demo/hello --json\n\n" +
      std::string(kExitCodes));
  CLI::App* status = root.add_subcommand("status", "Show the state of the node.");
  status->footer(
      "Version, since when it runs, which walls and quotas this machine has, and how much there\n"
      "is of what.\n\n"
      "Examples:\n"
      "  cloister status\n"
      "  cloister status --json\n\n" +
      std::string(kExitCodes));
  status->callback([&arguments] { arguments.verb = ShowStatus; });
}

void AddGlobals(CLI::App& root, Arguments& arguments) {
  root.require_subcommand(1);
  root.get_formatter()->label("SUBCOMMAND", "VERB");
  root.get_formatter()->label("REQUIRED", "");
  root.get_formatter()->label("TEXT", "");
  root.get_formatter()->label("UINT", "");
  // Options for all verbs may stand behind the verb.
  root.fallthrough();
  root.set_version_flag("--version", "cloister " CLOISTER_VERSION);
  root.add_option("--socket", arguments.socket,
                  "The node's admin socket (else $CLOISTER_SOCKET, else " +
                      std::string(kDefaultAdminSocket) + ")")
      ->option_text("PATH");
  root.add_flag("--json", arguments.json, "Print the answer as JSON, errors too");
  root.footer(
      "Start here:\n"
      "  cloister init shop && cloister dev shop\n"
      "  cloister tenants create demo\n"
      "  cloister deploy docs/examples/hello --app demo/hello\n"
      "  cloister logs demo/hello -f\n\n"
      "`cloister VERB --help` says more, with examples. An error has a stable code;\n"
      "docs/errors.md explains each.\n\n" +
      std::string(kExitCodes));
}

// "deploy", "tenants create": as far as the verbs were understood.
const CLI::App* LastVerb(const CLI::App& root, std::string& words) {
  const CLI::App* last = &root;
  while (!last->get_subcommands().empty()) {
    last = last->get_subcommands().front();
    words += " " + last->get_name();
  }
  return last;
}

// "... not expected: C B": the library names the last word first.
std::string InOrder(const std::string& what) {
  const std::size_t begin = what.rfind(": ") + 2;
  std::istringstream text(what.substr(begin));
  std::vector<std::string> words;
  for (std::string word; text >> word;)
    words.insert(words.begin(), word);
  return what.substr(0, begin) + fmt::format("{}", fmt::join(words, " "));
}

int ShowUsageError(const CLI::App& root, const CLI::ParseError& error, Console& console) {
  Failure failure{ExitCode::kUsage, "usage", error.what(), "", ""};
  std::string words = "cloister";
  const CLI::App* last = LastVerb(root, words);
  std::vector<std::string> names;
  for (const CLI::App* verb : last->get_subcommands(nullptr))
    names.push_back(verb->get_name());
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError))
    failure.what = InOrder(failure.what);
  // Where a verb must come, that is what is wrong.
  if (last->get_require_subcommand_min() > 0) {
    const std::vector<std::string> rest = root.remaining(true);
    const std::string word = rest.empty() ? "" : rest.front();
    const std::vector<std::string_view> known(names.begin(), names.end());
    failure.what = word.empty()            ? "a verb is missing after '" + words + "'"
                   : word.starts_with('-') ? "unknown option '" + word + "'"
                                           : "unknown verb '" + word + "'" + NameHint(word, known);
  }
  failure.advice = "see `" + words + " --help`";
  console.Show(failure);
  return static_cast<int>(ExitCode::kUsage);
}

// Whether errors are to be JSON, when the arguments could not be parsed.
bool WantsJson(int argc, char** argv) {
  return std::any_of(argv, argv + argc,
                     [](const char* word) { return std::string_view(word) == "--json"; });
}

// Verbs are listed as such, at every level.
void NameGroups(CLI::App& app) {
  for (CLI::App* verb : app.get_subcommands(nullptr)) {
    verb->group("Verbs");
    NameGroups(*verb);
  }
}

// What people type for `--version` and `VERB... --help`.
std::vector<std::string> Words(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.front() == "version" && words.size() == 1) {
    words.front() = "--version";
  } else if (words.front() == "help") {
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  // As the library takes them: the last one first.
  std::ranges::reverse(words);
  return words;
}

int Main(int argc, char** argv) {
  CLI::App root("cloister: deploy apps to a Cloister node, and see how they are.", "cloister");
  Arguments arguments;
  AddGlobals(root, arguments);
  AddLocalVerbs(root, arguments.local, arguments.verb);
  AddDeploy(root, arguments);
  AddCheck(root, arguments);
  AddTurns(root, arguments.data, arguments.verb);
  AddBackups(root, arguments.data, arguments.verb);
  AddApps(root, arguments);
  AddTenants(root, arguments);
  AddReleases(root, arguments.releases, arguments.verb);
  AddVerify(root, arguments);
  AddModules(root, arguments);
  AddQuota(root, arguments);
  AddConfig(root, arguments);
  AddObjects(root, arguments.object, arguments.verb);
  AddDatabases(root, arguments.data, arguments.verb);
  AddLists(root, arguments);
  AddLogs(root, arguments);
  NameGroups(root);
  Console console(
      Console::Detect(WantsJson(argc, argv) ? Console::Format::kJson : Console::Format::kText));
  if (argc == 1) {
    console.Note(root.help());
    return static_cast<int>(ExitCode::kUsage);
  }
  try {
    root.parse(Words(argc, argv));
  } catch (const CLI::ParseError& error) {
    // --help and --version come this way too.
    if (error.get_exit_code() == 0)
      return root.exit(error);
    return ShowUsageError(root, error, console);
  }
  AdminApi api(SocketPath(arguments));
  const Attempt<void> done = arguments.verb(api, console);
  if (!done.ok()) {
    console.Show(done.error());
    return static_cast<int>(done.error().exit);
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    console.Show({ExitCode::kFailed, "output_failed", "cannot write the output", "", ""});
    return static_cast<int>(ExitCode::kFailed);
  }
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace
}  // namespace cloister

int main(int argc, char** argv) {
  try {
    return cloister::Main(argc, argv);
  } catch (const std::exception& error) {
    // The library for arguments throws where this file misuses it; the JSON library never does.
    (void)std::fputs("cloister: ", stderr);
    (void)std::fputs(error.what(), stderr);
    return static_cast<int>(cloister::ExitCode::kFailed);
  }
}
