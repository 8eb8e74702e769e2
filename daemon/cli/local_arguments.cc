#include "daemon/cli/local_arguments.h"

#include <string>

#include <CLI/CLI.hpp>

#include "daemon/cli/help.h"

namespace cloister {
namespace {

void AddInit(CLI::App& root, LocalArguments& arguments, Verb& verb) {
  CLI::App* init = root.add_subcommand("init", "Make an app to begin with.");
  init->add_option("DIR", arguments.init.folder, "Where")->option_text("(.)");
  init->add_option("--name", arguments.init.name, "The app's name")->option_text("NAME (of DIR)");
  init->add_option("--kind", arguments.init.kind, "What it is made with: wsgi, flask, django")
      ->option_text("KIND (wsgi)")
      ->check(CLI::IsMember({"wsgi", "flask", "django"}));
  init->footer(kInitHelp + std::string(kExitCodes));
  init->callback([&arguments, &verb] {
    verb = [&arguments](AdminApi& /*api*/, Console& console) {
      return InitApp(console, arguments.init);
    };
  });
}

void AddDev(CLI::App& root, LocalArguments& arguments, Verb& verb) {
  using Goal = DevOptions::Goal;
  DevOptions& options = arguments.dev;
  CLI::App* dev = root.add_subcommand("dev", "Serve an app on this machine, without a node.");
  dev->add_option("DIR", options.folder, "The directory with cloister.toml")->option_text("(.)");
  dev->add_option("--port", options.port, "Of 127.0.0.1; 0: a free one")
      ->option_text("N (8000)")
      ->check(CLI::Range(0, 65535));
  dev->add_option("--config", options.config, "Config, a line NAME=VALUE each")
      ->option_text("FILE (.cloister.env)");
  dev->add_option("--python", options.python, "The Python that runs it, 3.9 or later")
      ->option_text("PYTHON (" + options.python + ")");
  dev->add_flag_callback(
      "--no-reload", [&options] { options.reload = DevOptions::Reload::kNever; },
      "Do not start anew when files change");
  const auto add_goal = [dev, &options](const char* name, Goal goal, const char* what) {
    dev->add_flag_callback(name, [&options, goal] { options.goal = goal; }, what);
  };
  add_goal("--check", Goal::kCheck, "Ask what [[check]] says, and end");
  add_goal("--test", Goal::kTest, "Run its unittests, and end");
  add_goal("--where", Goal::kWhere, "Print where the cloister package lies, and end");
  // What `dev` asks itself when cloister.toml has changed.
  dev->add_flag_callback("--validate", [&options] { options.goal = Goal::kValidate; })->group("");
  dev->footer(kDevHelp + std::string(kDevExitCodes));
  dev->callback([&arguments, &verb] {
    verb = [&arguments](AdminApi& /*api*/, Console& console) {
      return RunDev(console, arguments.dev);
    };
  });
}

}  // namespace

void AddLocalVerbs(CLI::App& root, LocalArguments& arguments, Verb& verb) {
  AddInit(root, arguments, verb);
  AddDev(root, arguments, verb);
}

}  // namespace cloister
