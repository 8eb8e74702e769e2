#include "daemon/releases/verification.h"

#include <algorithm>
#include <utility>

#include "apis/base/units.h"
#include "daemon/releases/configs.h"
#include "daemon/store/bytecode.h"
#include "daemon/store/config_rows.h"
#include "daemon/store/contents.h"
#include "daemon/store/release_rows.h"

namespace cloister {
namespace {

// What a slice reads before it lets others go on: some tens of milliseconds.
constexpr Bytes kSliceBytes = MiB(8);
constexpr std::size_t kSliceFiles = 2000;
// What is remembered of an app's sound files. Beyond it they are read again.
constexpr std::size_t kSoundMax = 100000;

}  // namespace

Result<bool> Verification::Step(Database& db) {
  const Transaction moment = TRY(Transaction::BeginRead(db));
  if (!TRY(FindWork(db)))
    return false;
  const Result<ReleaseRow> release = FindRelease(db, releases_.front());
  if (release.ok()) {
    TRY(CheckRelease(db, release.value()));
  } else if (release.error().code == ErrorCode::kNotFound) {
    FinishRelease();  // it went in the meantime
  } else {
    return Error(release.error());
  }
  return true;
}

Result<bool> Verification::FindWork(Database& db) {
  while (releases_.empty()) {
    if (apps_.empty())
      return false;
    app_ = std::move(apps_.front());
    apps_.pop_front();
    sound_.clear();
    const std::vector<ReleaseId> ids = TRY(ListReleaseIds(db, app_->id));
    releases_.assign(ids.begin(), ids.end());
    ++report_.apps;
    TRY(CheckConfig(db));
  }
  return true;
}

Result<void> Verification::CheckConfig(Database& db) {
  if (!app_)
    return {};
  const std::uint32_t all = 2 * kConfigVersionsKept;
  for (const ConfigVersionRow& version : TRY(ListConfigVersions(db, app_->id, all))) {
    if (version.state != ConfigState::kInForce && version.state != ConfigState::kWanted)
      continue;
    for (const ConfigValueRow& row : TRY(ListConfigValues(db, app_->id, version.number))) {
      if (!row.secret)
        continue;
      ++report_.secrets;
      const Result<SecretText> opened = OpenSecret(app_->id, row, *key_);
      if (opened.ok())
        continue;
      ++report_.sealed;
      ++report_.damages;
      List({.app = app_->name,
            .release = {},
            .version = "config " + std::to_string(version.number),
            .damage = {
                .file = {},
                .what = "the secret " + row.name + " does not open: " + opened.error().message}});
    }
  }
  return {};
}

Result<void> Verification::CheckRelease(Database& db, const ReleaseRow& release) {
  if (!std::exchange(begun_, true)) {
    ++report_.releases;
    for (Damage& damage : TRY(FindRowDamage(db, release)))
      Note(release, std::move(damage));
  }
  const std::vector<ReleaseFile> files = TRY(ListFiles(db, release.id));
  auto file = std::find_if(files.begin(), files.end(), [this](const ReleaseFile& candidate) {
    return candidate.path > last_path_;
  });
  std::uint64_t bytes = 0;
  for (std::size_t count = 0; file != files.end(); ++file, ++count) {
    if (bytes >= kSliceBytes.count || count >= kSliceFiles)
      return {};
    TRY(CheckFile(db, release, *file));
    bytes += file->size;
    last_path_ = file->path;
  }
  FinishRelease();
  return {};
}

Result<void> Verification::CheckFile(Database& db, const ReleaseRow& release,
                                     const ReleaseFile& file) {
  if (!app_)
    return {};
  ++report_.files;
  const std::string key = std::string(file.sha256.view()) + file.path;
  if (sound_.contains(key))
    return {};
  const Result<std::string> content = LoadContent(db, app_->tenant, file.sha256);
  const Result<void> bytecode =
      CheckBytecode(db, release.app, {.sha256 = file.sha256, .path = file.path});
  if (!content.ok())
    TRY(NoteDamage(release, file, content.error()));
  if (!bytecode.ok())
    TRY(NoteDamage(release, file, bytecode.error()));
  if (content.ok() && bytecode.ok() && sound_.size() < kSoundMax)
    sound_.insert(key);
  return {};
}

Result<void> Verification::NoteDamage(const ReleaseRow& release, const ReleaseFile& file,
                                      const Error& error) {
  if (error.code != ErrorCode::kSystem && error.code != ErrorCode::kNotFound)
    return Error(error);
  Note(release, {.file = file.path, .what = error.message});
  return {};
}

void Verification::Note(const ReleaseRow& release, Damage damage) {
  if (!app_)
    return;
  ++report_.damages;
  if (!std::exchange(damaged_, true))
    ++report_.damaged;
  List({.app = app_->name,
        .release = release.id,
        .version = release.version,
        .damage = std::move(damage)});
}

void Verification::List(FoundDamage found) {
  if (report_.found.size() < kDamagesListedMax)
    report_.found.push_back(std::move(found));
}

void Verification::FinishRelease() {
  releases_.pop_front();
  begun_ = false;
  damaged_ = false;
  last_path_.clear();
}

}  // namespace cloister
