#include "daemon/cli/object_arguments.h"

#include <string>

#include <CLI/CLI.hpp>

#include "daemon/cli/help.h"

namespace cloister {
namespace {

using ObjectVerb = Attempt<void> (*)(AdminApi&, Console&, const ObjectWish&);

CLI::App* AddObjectVerb(CLI::App& objects, ObjectWish& wish, Verb& verb, const std::string& words,
                        ObjectVerb act) {
  // "ls List the names ...": the verb, and what it does.
  const std::size_t space = words.find(' ');
  CLI::App* command = objects.add_subcommand(words.substr(0, space), words.substr(space + 1));
  command->add_option("APP", wish.app, kAppHelp)->required();
  command->callback([&wish, &verb, act] {
    verb = [&wish, act](AdminApi& api, Console& console) { return act(api, console, wish); };
  });
  return command;
}

}  // namespace

void AddObjects(CLI::App& root, ObjectWish& wish, Verb& verb) {
  CLI::App* objects =
      root.add_subcommand("objects", "List, read, write and remove what apps keep.");
  objects->require_subcommand(1);
  objects->footer(kObjectsHelp + std::string(kExitCodes));
  CLI::App* list = AddObjectVerb(*objects, wish, verb,
                                 "ls List the names of an app and their objects.", ListObjects);
  list->add_option("PREFIX", wish.reference, "Only names that begin so");
  list->add_flag("--ids", wish.ids, "All objects, those without a name too");
  CLI::App* put = AddObjectVerb(*objects, wish, verb, "put Keep a file as an object.", PutObject);
  put->add_option("FILE", wish.file, "What to keep; -: standard input")->required();
  put->add_option("--name", wish.name, "Have this name refer to it")
      ->option_text("NAME")
      ->check([](const std::string& name) {
        return name.empty() ? "a name is not empty; without --name the object has none" : "";
      });
  constexpr const char* kReferenceHelp = "A name, or an id";
  CLI::App* get = AddObjectVerb(*objects, wish, verb, "get Write an object to a file.", GetObject);
  get->add_option("OBJECT", wish.reference, kReferenceHelp)->required();
  get->add_option("-o,--output", wish.file, "Where to; -: standard output")
      ->option_text("FILE (the last part of the name)");
  AddObjectVerb(*objects, wish, verb,
                "rm Remove a name and, if nothing else names it, its object; or an object.",
                RemoveObject)
      ->add_option("OBJECT", wish.reference, kReferenceHelp)
      ->required();
}

}  // namespace cloister
