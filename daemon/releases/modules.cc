#include "daemon/releases/modules.h"

#include <fcntl.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "apis/base/unicode.h"
#include "apis/base/unique_fd.h"
#include "config/values.h"
#include "daemon/store/release_rows.h"
#include "sandbox/image/image.h"
#include "sandbox/image/platform.h"

namespace cloister {
namespace {

constexpr std::size_t kNameMax = 1000;

Error Malformed(std::string why) {
  return Error{ErrorCode::kInvalidArgument, "the list of modules has " + std::move(why)};
}

// What stands before `end` in `rest`, which goes on behind it.
std::optional<std::string_view> Take(std::string_view& rest, char end) {
  const std::size_t at = rest.find(end);
  if (at == std::string_view::npos)
    return std::nullopt;
  const std::string_view part = rest.substr(0, at);
  rest.remove_prefix(at + 1);
  return part;
}

Result<LoadedModule> ParseLine(std::string_view line) {
  std::string_view rest = line;
  const auto name = Take(rest, '\t');
  const auto origin = Take(rest, '\t');
  if (!name || !origin || name->empty() || name->size() > kNameMax || rest.size() > kNameMax)
    return Malformed("a line of another form");
  if (*origin != "app" && *origin != "platform")
    return Malformed("a module of an unknown origin");
  return LoadedModule{.name = std::string(*name),
                      .origin = *origin == "app" ? ModuleOrigin::kApp : ModuleOrigin::kPlatform,
                      .path = std::string(rest)};
}

std::optional<ReleaseRow> NewestThatBooted(std::vector<ReleaseRow> attempts) {
  const auto rejected = [](const ReleaseRow& row) { return row.state == ReleaseState::kRejected; };
  const auto newest = std::find_if_not(attempts.rbegin(), attempts.rend(), rejected);
  if (newest != attempts.rend())
    return std::move(*newest);
  return attempts.empty() ? std::nullopt : std::optional(std::move(attempts.back()));
}

// What is asked for.
struct Wish {
  AppRow app;
  std::string version;
  std::string platform_image;
};

Outcome<ReleaseRow> FindWanted(Database& db, const Wish& wish) {
  std::optional<ReleaseRow> found =
      wish.version.empty() ? TRY(FindLive(db, wish.app.id))
                           : NewestThatBooted(TRY(ListVersion(db, wish.app.id, wish.version)));
  if (found)
    return std::move(*found);
  const std::string app = wish.app.name.ToString();
  return Refused(ProblemCode::kReleaseNotFound,
                 wish.version.empty() ? "no release of " + app + " is live; name a version of it"
                                      : app + " has no release " + wish.version.substr(0, 64));
}

using Hashes = std::unordered_map<std::string, Sha256>;  // by path

Result<Hashes> HashesOfApp(Database& db, ReleaseId release) {
  Hashes hashes;
  for (ReleaseFile& file : TRY(ListFiles(db, release)))
    hashes.emplace(std::move(file.path), file.sha256);
  return hashes;
}

Result<Image> OpenPlatform(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid())
    return SystemError("opening the platform image " + path);
  return Image::Open(file.get(), Image::NeedSeals::kNo);
}

Outcome<ModuleFacts> ReadFacts(Database& db, const Wish& wish) {
  const Transaction moment = TRY(Transaction::BeginRead(db));
  const ReleaseRow release = TRY(FindWanted(db, wish));
  const std::optional<std::string> text = TRY(FindModules(db, release.id));
  if (!text)
    return Refused(ProblemCode::kModulesUnknown,
                   "it is not known what " + wish.app.name.ToString() + "@" + release.version +
                       " loads: it never booted on this node");
  Hashes of_app = TRY(HashesOfApp(db, release.id));
  Hashes of_platform;
  const Image platform = TRY(OpenPlatform(wish.platform_image));
  ModuleFacts facts{.version = release.version, .platform = {}, .modules = {}};
  if (const auto version = platform.Find(kPlatformVersionPath))
    facts.platform = version->contents;
  std::vector<LoadedModule> modules = TRY(ParseModules(*text));
  std::ranges::sort(modules, {}, &LoadedModule::name);
  for (LoadedModule& module : modules) {
    auto& hashes = module.origin == ModuleOrigin::kPlatform ? of_platform : of_app;
    // Each file once, however often a hostile app names it.
    if (const auto file = platform.Find(module.path);
        file && module.origin == ModuleOrigin::kPlatform && !hashes.contains(module.path))
      hashes.emplace(module.path, Sha256Of(file->contents));
    const auto found = hashes.find(module.path);
    facts.modules.push_back(
        {.module = std::move(module),
         .sha256 = found == hashes.end() ? std::nullopt : std::optional(found->second)});
  }
  return facts;
}

}  // namespace

Result<std::vector<LoadedModule>> ParseModules(std::string_view text) {
  if (text.size() > kModulesTextMax)
    return Malformed("more than 1 MiB");
  if (!IsUtf8(text))
    return Malformed("bytes that are not UTF-8");
  std::vector<LoadedModule> modules;
  while (!text.empty()) {
    const auto line = Take(text, '\n');
    if (!line)
      return Malformed("a line without an end");
    if (modules.size() == kModulesMax)
      return Malformed("more than " + std::to_string(kModulesMax) + " modules");
    modules.push_back(TRY(ParseLine(*line)));
  }
  return modules;
}

std::vector<std::string> FindUnknownModules(const ModuleSettings& lists,
                                            const std::string& platform_image) {
  std::vector<std::string> unknown;
  const Result<Image> platform = OpenPlatform(platform_image);
  if (!platform.ok())
    return unknown;
  const std::optional<ImageEntry> file = platform.value().Find(kModuleNamesPath);
  std::vector<std::string_view> known;
  for (std::string_view rest = file ? file->contents : std::string_view(); !rest.empty();) {
    known.push_back(rest.substr(0, rest.find('\n')));
    rest.remove_prefix(std::min(rest.size(), known.back().size() + 1));
  }
  for (const std::vector<std::string>* list : {&lists.deny, &lists.allow})
    for (const std::string& name : *list)
      if (const std::string top = name.substr(0, name.find('.'));
          name != "*" && std::ranges::find(known, top) == known.end()) {
        const std::string_view nearest = NearestName(top, known);
        unknown.push_back(
            nearest.empty() ? name : name + ": did you mean '" + std::string(nearest) + "'?");
      }
  return unknown;
}

Modules::Modules(State& state, Catalog& catalog, std::string platform_image)
    : state_(state), catalog_(catalog), platform_image_(std::move(platform_image)) {}

void Modules::List(const AppName& app, std::string version,
                   std::function<void(Outcome<ModuleFacts>)> done) const {
  const AppEntry* entry = catalog_.FindApp(app);
  if (entry == nullptr)
    return done(NoApp(app));
  // On the bulk threads: the platform's part of the hashes is millions of bytes.
  state_.Bulk(
      entry->row.id.number,
      [wish = Wish{.app = entry->row,
                   .version = std::move(version),
                   .platform_image = platform_image_}](Database& db) {
        return ReadFacts(db, wish);
      },
      std::move(done));
}

}  // namespace cloister
