#include "daemon/cli/release_arguments.h"

#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "daemon/cli/commands.h"
#include "daemon/cli/help.h"

namespace cloister {
namespace {

// `releases` takes an app or a verb, never both.
class TwoForms : public CLI::Formatter {
 public:
  TwoForms() {
    for (const char* word : {"REQUIRED", "TEXT"})
      label(word, "");
  }
  std::string make_usage(const CLI::App* /*app*/, std::string /*name*/) const override {
    return "Usage: cloister releases [OPTIONS] APP\n"
           "       cloister releases VERB ...\n\n";
  }
};

void AddCompare(CLI::App& releases, ReleaseArguments& arguments, Verb& verb) {
  CLI::App* compare = releases.add_subcommand(
      "compare", "Say which of two versions is the higher, by the rules of the node.");
  compare->add_option("A", arguments.versions.a, "A version")->required();
  compare->add_option("B", arguments.versions.b, "Another")->required();
  compare->footer(
      "Prints `A < B`, `A = B` or `A > B`; with --json an object with order -1, 0 or 1. No node "
      "is\n"
      "asked. Versions are SemVer 2.0.0 without build metadata, or a bare number N, which orders\n"
      "as N.0.0. Numbers have no limit but the 64 characters of a version.\n\n"
      "Examples:\n"
      "  cloister releases compare 1.0.0-rc.1 1.0.0\n"
      "  cloister releases compare 201105261324 201105261325 --json | jq .order\n\n" +
      std::string(kExitCodes));
  compare->callback([&arguments, &verb] {
    verb = [&arguments](AdminApi& /*api*/, Console& console) {
      return CompareVersions(console, arguments.versions);
    };
  });
}

void AddPin(CLI::App& releases, ReleaseArguments& arguments, Verb& verb, const char* name,
            const char* what, PinMode mode) {
  CLI::App* command = releases.add_subcommand(name, what);
  command->add_option("APP", arguments.pin.app, kAppHelp)->required();
  command->add_option("VERSION", arguments.pin.version, "The version of the release")->required();
  command->footer(
      "A node keeps a number of an app's former releases, or keeps them for some time (its\n"
      "settings: [releases] kept_max, kept_age); the oldest go. A pinned one stays, and can be\n"
      "gone back to, until it is unpinned.\n\n"
      "Examples:\n"
      "  cloister releases pin demo/hello 1.4.0\n"
      "  cloister releases unpin demo/hello 1.4.0\n\n" +
      std::string(kExitCodes));
  command->callback([&arguments, &verb, mode] {
    arguments.pin.mode = mode;
    verb = [&arguments](AdminApi& api, Console& console) {
      return PinRelease(api, console, arguments.pin);
    };
  });
}

void AddPins(CLI::App& releases, ReleaseArguments& arguments, Verb& verb) {
  AddPin(releases, arguments, verb, "pin", "Keep a release for as long as it is pinned.",
         PinMode::kPin);
  AddPin(releases, arguments, verb, "unpin", "Leave a release to the node's policy again.",
         PinMode::kUnpin);
}

}  // namespace

void AddReleases(CLI::App& root, ReleaseArguments& arguments, Verb& verb) {
  CLI::App* releases = root.add_subcommand(
      "releases", "List the releases of an app, and what else there is to do with them.");
  releases->add_option("APP", arguments.name, kAppHelp);
  releases->add_flag("--all", arguments.all,
                     "Also those that are gone, of which version and digest are remembered");
  releases->footer(kReleasesHelp + std::string(kExitCodes));
  AddCompare(*releases, arguments, verb);
  AddPins(*releases, arguments, verb);
  // Not theirs: they have what they were made with.
  releases->formatter(std::make_shared<TwoForms>());
  // Called for the verbs below as well, after theirs. They leave no word for APP.
  releases->callback([&arguments, &verb, releases] {
    const bool has_verb = !releases->get_subcommands().empty();
    if (has_verb && !arguments.name.empty())
      throw CLI::ExtrasError("releases", {arguments.name});
    if (has_verb)
      return;
    if (arguments.name.empty())
      throw CLI::RequiredError("APP");
    verb = [&arguments](AdminApi& api, Console& console) {
      return ListReleases(api, console, arguments.name,
                          arguments.all ? ReleaseList::kAll : ReleaseList::kThere);
    };
  });
}

}  // namespace cloister
