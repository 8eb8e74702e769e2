#include "daemon/cli/data_arguments.h"

#include <string>

#include <CLI/CLI.hpp>

#include "daemon/cli/help.h"

namespace cloister {
namespace {

using TurnVerb = Attempt<void> (*)(AdminApi&, Console&, const TurnWish&);

CLI::App* AddTurn(CLI::App& root, TurnWish& wish, Verb& verb, const std::string& words,
                  TurnVerb act) {
  // "rollback Go back ...": the verb, and what it does.
  const std::size_t space = words.find(' ');
  CLI::App* command = root.add_subcommand(words.substr(0, space), words.substr(space + 1));
  command->add_option("APP", wish.app, "TENANT/NAME, or NAME where the node has one tenant")
      ->required();
  command->callback([&wish, &verb, act] {
    verb = [&wish, act](AdminApi& api, Console& console) { return act(api, console, wish); };
  });
  return command;
}

}  // namespace

void AddTurns(CLI::App& root, DataArguments& arguments, Verb& verb) {
  TurnWish& wish = arguments.turn;
  CLI::App* rollback =
      AddTurn(root, wish, verb, "rollback Go back to a release that was live.", Rollback);
  rollback->add_option("VERSION", wish.version, "Which one")
      ->option_text("(the one that was live before)");
  CLI::Option* with_data =
      rollback->add_flag("--with-data", wish.with_data,
                         "Its database, too: as it was before a release script changed it");
  rollback->add_flag("-y,--yes", wish.yes, "Do not ask whether what came since may be lost")
      ->needs(with_data);
  rollback->footer(kRollbackHelp + std::string(kExitCodes));
  CLI::App* promote =
      AddTurn(root, wish, verb, "promote Put a release live that is there.", Promote);
  promote->add_option("VERSION", wish.version, "Which one")->required();
  promote->footer(
      "A canary, a release that was only checked, or one that was live at some time.\n\n"
      "Examples:\n"
      "  cloister deploy --canary 10% && cloister promote demo/hello 1.5.0\n"
      "  cloister check && cloister promote demo/hello 1.5.0\n\n" +
      std::string(kExitCodes));
  AddTurn(root, wish, verb, "snapshots List the snapshots of an app's database.", ListSnapshots)
      ->footer(kSnapshotsHelp + std::string(kExitCodes));
}

void AddBackups(CLI::App& root, DataArguments& arguments, Verb& verb) {
  CLI::App* backup = root.add_subcommand("backup", "Back the node up while it runs.");
  backup->add_option("DIR", arguments.backup.folder, "A directory that is made")->required();
  backup->add_flag("--with-node-key", arguments.backup.node_key,
                   "The key of secrets, too: keep such a backup as you keep the key");
  backup->footer(kBackupHelp + std::string(kExitCodes));
  backup->callback([&arguments, &verb] {
    verb = [&arguments](AdminApi& api, Console& console) {
      return BackUp(api, console, arguments.backup);
    };
  });
  CLI::App* restore =
      root.add_subcommand("restore", "Make the state of a node that does not run from a backup.");
  RestoreWish& wish = arguments.restore;
  restore->add_option("DIR", wish.folder, "The backup")->required();
  CLI::Option* check =
      restore->add_flag("--check", wish.check, "Only compare the backup with its hashes");
  restore->add_option("--config", wish.config, "The settings of the node that it is for")
      ->option_text("FILE (/etc/cloister/cloisterd.toml, where it is there)")
      ->excludes(check);
  restore
      ->add_option("--state-dir", wish.state_dir,
                   "Restore into this directory instead of the one of the settings")
      ->option_text("DIR")
      ->excludes(check);
  restore->footer(kRestoreHelp + std::string(kExitCodes));
  restore->callback([&arguments, &verb] {
    verb = [&arguments](AdminApi& api, Console& console) {
      return Restore(api, console, arguments.restore);
    };
  });
}

void AddDatabases(CLI::App& root, DataArguments& arguments, Verb& verb) {
  DbShellWish& wish = arguments.shell;
  CLI::App* databases = root.add_subcommand("db", "Look into the database of an app.");
  databases->require_subcommand(1);
  databases->footer(kDbHelp + std::string(kExitCodes));
  CLI::App* shell = databases->add_subcommand("shell", "SQL, typed or from standard input.");
  shell->add_option("APP", wish.app, kAppHelp)->required();
  shell
      ->add_option_function<std::string>(
          "-c,--command",
          [&wish](const std::string& sql) {
            wish.command = sql;
            wish.has_command = true;
          },
          "Run this, and end")
      ->option_text("SQL");
  CLI::Option* const write =
      shell->add_flag("--write", wish.write, "Let statements change the database");
  shell
      ->add_option_function<std::uint64_t>(
          "--snapshot", [&wish](const std::uint64_t& number) { wish.snapshot = number; },
          "Read this snapshot instead: one of `cloister snapshots APP`")
      ->option_text("NUMBER")
      ->excludes(write);
  shell->add_flag("--csv", wish.csv, "Print rows as CSV");
  shell->footer(kDbHelp + std::string(kExitCodes));
  shell->callback([&wish, &verb] {
    verb = [&wish](AdminApi& api, Console& console) { return RunDbShell(api, console, wish); };
  });
}

}  // namespace cloister
