#include "daemon/releases/config_change.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "config/config_rules.h"
#include "config/manifest.h"
#include "daemon/store/release_rows.h"

namespace cloister {
namespace {

using Values = std::map<std::string, ConfigValueRow>;

Result<Values> ReadValues(Database& db, AppId app, std::uint64_t number) {
  Values values;
  for (ConfigValueRow& row : TRY(ListConfigValues(db, app, number))) {
    std::string name = row.name;
    values.emplace(std::move(name), std::move(row));
  }
  return values;
}

std::vector<ConfigValueRow> RowsOf(const Values& values) {
  std::vector<ConfigValueRow> rows;
  rows.reserve(values.size());
  for (const auto& [name, row] : values)
    rows.push_back(row);
  return rows;
}

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

Outcome<Done> CheckChange(const Values& values, const ConfigKeyChange& change, ConfigKind kind) {
  if (const Result<void> name = CheckConfigName(change.name); !name.ok())
    return Refused(ProblemCode::kConfigInvalid, name.error().message);
  const auto there = values.find(change.name);
  if (change.unset && there == values.end())
    return Refused(ProblemCode::kConfigKeyNotFound, "there is no key '" + change.name + "'");
  // That a plain value becomes a secret is what people want; the other way it would be read.
  const bool wrong_kind =
      there != values.end() && (there->second.secret ? kind == ConfigKind::kPlain
                                                     : kind == ConfigKind::kSecret && change.unset);
  if (wrong_kind)
    return Refused(ProblemCode::kConfigKind,
                   "'" + change.name + "' is " +
                       (there->second.secret ? "a secret: use `cloister secrets`"
                                             : "no secret: use `cloister config`"));
  if (change.unset)
    return Done();
  if (const Result<void> value = CheckConfigValue(change.value.text()); !value.ok())
    return Refused(ProblemCode::kConfigInvalid, change.name + ": " + value.error().message);
  return Done();
}

Outcome<ConfigValueRow> RowOf(const AppRow& app, const ConfigKeyChange& key_change, ConfigKind kind,
                              NodeKey& keys, const Change& change) {
  ConfigValueRow row{.name = key_change.name,
                     .secret = kind == ConfigKind::kSecret,
                     .value = {},
                     .key_id = {},
                     .set_at = change.when,
                     .set_by = change.who};
  if (!row.secret) {
    row.value = key_change.value.text();
    return row;
  }
  const Result<std::shared_ptr<const SealKey>> key = keys.ForSealing();
  if (!key.ok())
    return Refused(ProblemCode::kConfigUnreadable, key.error().message);
  row.value = key.value()->Seal(ConfigPlaceOf(app.id, row.name), key_change.value.text());
  row.key_id = key.value()->id();
  return row;
}

std::size_t SizeOf(const Values& values) {
  std::size_t bytes = 0;
  for (const auto& [name, row] : values)
    bytes += ConfigSizeOf(name, row.size());
  return bytes;
}

// A quota that was lowered stands in nobody's way to less.
Outcome<Done> CheckQuota(const Values& present, const Values& values, const ConfigQuota& quota) {
  if (values.size() > quota.keys_max && values.size() > present.size())
    return Refused(ProblemCode::kConfigFull,
                   "the config would have " + std::to_string(values.size()) +
                       " keys; the quota config.keys allows " + std::to_string(quota.keys_max));
  const std::size_t bytes = SizeOf(values);
  if (bytes > quota.bytes_max.count && bytes > SizeOf(present))
    return Refused(ProblemCode::kConfigFull, "names and values of the config would have " +
                                                 std::to_string(bytes) +
                                                 " bytes; the quota config.bytes allows " +
                                                 std::to_string(quota.bytes_max.count));
  return Done();
}

// Whether the plain values are the same, and the names of the secrets.
bool SamePlain(const Values& a, const Values& b) {
  return std::ranges::equal(a, b, [](const auto& left, const auto& right) {
    return left.first == right.first && left.second.secret == right.second.secret &&
           (left.second.secret || left.second.value == right.second.value);
  });
}

// The plain values of `former` with the secrets of `present`.
Values BackTo(const Values& former, const Values& present) {
  Values values;
  for (const auto& [name, row] : present)
    if (row.secret)
      values.emplace(name, row);
  for (const auto& [name, row] : former) {
    if (row.secret)
      continue;
    // What did not change was set when it was set.
    const auto same = present.find(name);
    const bool unchanged =
        same != present.end() && !same->second.secret && same->second.value == row.value;
    values.emplace(name, unchanged ? same->second : row);
  }
  return values;
}

std::vector<std::string> DifferingNames(const Values& a, const Values& b) {
  std::set<std::string> names;
  for (const auto& [from, other] : {std::pair(&a, &b), std::pair(&b, &a)})
    for (const auto& [name, row] : *from) {
      const auto found = other->find(name);
      if (found == other->end() || found->second.value != row.value ||
          found->second.secret != row.secret)
        names.insert(name);
    }
  return {names.begin(), names.end()};
}

Result<std::optional<std::uint64_t>> FindFormer(Database& db, AppId app, std::uint64_t present) {
  for (const ConfigVersionRow& row : TRY(ListConfigVersions(db, app, 2 * kConfigVersionsKept)))
    if (row.number < present && row.state == ConfigState::kFormer)
      return std::optional(row.number);
  return std::optional<std::uint64_t>();
}

struct Wanted {
  Values values;
  std::string action;
  std::string detail;
  bool has_secrets = false;  // it sets some, which nobody compares with those that are there
  ConfigBack back = {};
};

Outcome<Wanted> ApplyChanges(const AppRow& app, Values values, const ConfigRequest& request,
                             NodeKey& keys, const Change& change) {
  Wanted wanted;
  std::vector<std::string> names;
  bool sets = false;
  for (const ConfigKeyChange& key_change : request.changes) {
    TRY(CheckChange(values, key_change, request.kind));
    if (std::ranges::find(names, key_change.name) != names.end())
      return Refused(ProblemCode::kConfigInvalid, "'" + key_change.name + "' is there twice");
    names.push_back(key_change.name);
    if (key_change.unset) {
      values.erase(key_change.name);
      continue;
    }
    sets = true;
    values.insert_or_assign(key_change.name,
                            TRY(RowOf(app, key_change, request.kind, keys, change)));
  }
  const bool secret = request.kind == ConfigKind::kSecret;
  wanted.values = std::move(values);
  wanted.action = std::string(secret ? "secret_" : "") + (sets ? "set" : "unset");
  wanted.detail = Joined(names);
  wanted.has_secrets = secret;
  return wanted;
}

Outcome<Wanted> GoBack(Database& db, const AppRow& app, const Values& present,
                       std::uint64_t present_number, std::uint64_t target) {
  if (target == 0) {
    const std::optional<std::uint64_t> former = TRY(FindFormer(db, app.id, present_number));
    if (!former)
      return Refused(ProblemCode::kConfigVersionNotFound,
                     "no other config of " + app.name.ToString() + " was in force before");
    target = *former;
  }
  if (!TRY(FindConfigVersion(db, app.id, target)))
    return Refused(ProblemCode::kConfigVersionNotFound,
                   app.name.ToString() + " has no config " + std::to_string(target) +
                       "; `cloister config history " + app.name.ToString() +
                       "` lists those that it has");
  const Values former = TRY(ReadValues(db, app.id, target));
  Wanted wanted;
  wanted.values = BackTo(former, present);
  wanted.action = "rollback";
  wanted.detail = "to " + std::to_string(target);
  wanted.back.former = target;
  for (std::string& name : DifferingNames(present, wanted.values))
    (wanted.values.contains(name) ? wanted.back.names : wanted.back.gone)
        .push_back(std::move(name));
  return wanted;
}

Result<Manifest> ReadManifest(Database& db, ReleaseId release) {
  const std::string text = TRY(FindManifest(db, release));
  return ParseManifest(text, kManifestPath);
}

std::vector<std::string> MissingOf(const Manifest& manifest, const Values& values) {
  std::vector<std::string> missing;
  for (const std::string& name : manifest.config.required)
    if (!values.contains(name))
      missing.push_back(name);
  return missing;
}

// What the live release makes of it, into `chosen`.
Outcome<Done> CheckLive(Database& db, const AppRow& app, const Values& present,
                        const Values& values, ChosenConfig& chosen) {
  chosen.live = TRY(FindLive(db, app.id));
  if (!chosen.live)
    return Done();
  const Manifest manifest = TRY(ReadManifest(db, chosen.live->id));
  chosen.reload_live = manifest.config.reload_live;
  std::vector<std::string> taken;
  for (std::string& name : MissingOf(manifest, values))
    if (present.contains(name))
      taken.push_back(std::move(name));
  if (taken.empty())
    return Done();
  return Refused(ProblemCode::kConfigRequired,
                 "the live release " + chosen.live->version + " requires " + Joined(taken) +
                     " ([config] required in its cloister.toml); put a release live that does "
                     "without, first");
}

Outcome<Done> CheckRequired(Database& db, const AppRow& app, const ReleaseRow& release,
                            const Values& values) {
  const Result<Manifest> manifest = ReadManifest(db, release.id);
  if (!manifest.ok())
    return Refused(ProblemCode::kIntegrity, manifest.error().message);
  const std::vector<std::string> missing = MissingOf(manifest.value(), values);
  if (!missing.empty())
    return Refused(ProblemCode::kConfigMissing, MissingKeysText(app.name, missing));
  return Done();
}

// What is wanted becomes a version, in force at once where nothing is live. Its number.
Result<std::uint64_t> Write(Database& db, const AppRow& app, Wanted wanted,
                            const std::optional<ReleaseRow>& live, const Change& change) {
  const NewConfig config{.app = app,
                         .action = std::move(wanted.action),
                         .detail = std::move(wanted.detail),
                         .values = RowsOf(wanted.values),
                         .with_release = {},
                         .at_once = !live};
  const std::uint64_t number = TRY(CreateConfig(db, config, change));
  if (live)
    TRY(ForgetConfigSteps(db, live->id));
  return number;
}

}  // namespace

Result<std::vector<std::string>> FindMissingKeys(Database& db, const ReleaseRow& release,
                                                 std::uint64_t number) {
  const Manifest manifest = TRY(ReadManifest(db, release.id));
  const Values values = TRY(ReadValues(db, release.app, number));
  return MissingOf(manifest, values);
}

std::string MissingKeysText(const AppName& app, const std::vector<std::string>& names) {
  const std::string first = app.ToString() + " " + names.front();
  return "the app's config lacks " + Joined(names) +
         ", which [config] required in cloister.toml names: `cloister config set " + first +
         "=VALUE`, or `cloister secrets set " + first + "`";
}

Outcome<ChosenConfig> ChooseConfig(Database& db, const AppRow& app, const ConfigRequest& request,
                                   const ConfigTerms& terms) {
  const std::uint64_t in_force = TRY(FindConfigInForce(db, app.id));
  const Values present = TRY(ReadValues(db, app.id, in_force));
  Wanted wanted =
      TRY(request.back_to ? GoBack(db, app, present, in_force, *request.back_to)
                          : ApplyChanges(app, present, request, terms.key, terms.change));
  ChosenConfig chosen{.number = in_force, .back = wanted.back};
  if (!wanted.has_secrets && SamePlain(wanted.values, present))
    return chosen;
  TRY(CheckQuota(present, wanted.values, terms.quota));
  TRY(CheckLive(db, app, present, wanted.values, chosen));
  chosen.number = TRY(Write(db, app, std::move(wanted), chosen.live, terms.change));
  chosen.changed = true;
  return chosen;
}

Outcome<ReleaseConfig> KeepConfig(Database& db, const AppRow& app, const ReleaseRow& release) {
  ReleaseConfig config{.number = TRY(FindConfigInForce(db, app.id)), .former = 0, .names = {}};
  const Values values = TRY(ReadValues(db, app.id, config.number));
  TRY(CheckRequired(db, app, release, values));
  return config;
}

Outcome<ReleaseConfig> ChooseReleaseConfig(Database& db, const AppRow& app,
                                           const ReleaseRow& release, const Change& change) {
  const std::uint64_t in_force = TRY(FindConfigInForce(db, app.id));
  const std::optional<std::uint64_t> served = TRY(FindConfigOf(db, release.id));
  if (!served || *served == in_force)
    return KeepConfig(db, app, release);
  const Values present = TRY(ReadValues(db, app.id, in_force));
  const Values former = TRY(ReadValues(db, app.id, *served));
  const Values values = BackTo(former, present);
  if (SamePlain(values, present))
    return KeepConfig(db, app, release);
  TRY(CheckRequired(db, app, release, values));
  ReleaseConfig config{.number = 0, .former = *served, .names = DifferingNames(values, present)};
  config.number =
      TRY(CreateConfig(db,
                       {.app = app,
                        .action = "release_rollback",
                        .detail = "to " + std::to_string(*served) + ", with " + release.version,
                        .values = RowsOf(values),
                        .with_release = release.id,
                        .at_once = false},
                       change));
  return config;
}

}  // namespace cloister
