#pragma once

// `cloister verify`: everything that the store holds of some apps, checked against its hashes.
//
// A walk over all releases that are there, live or not, and over all of their files: the rows
// (daemon/releases/integrity.h), the contents, and the bytecode of every interpreter; and over the
// secrets of each app's config, which must open with the node's key. Damage does
// not end it. It goes in slices of a few megabytes, each of one moment; a release that goes in
// between is left out. What was found sound for one release of an app is not read again for the
// next. Blocking, on one thread at a time.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "apis/backends/sqlite.h"
#include "daemon/releases/integrity.h"
#include "daemon/store/node_key.h"
#include "daemon/store/rows.h"

namespace cloister {

// The most damages that a report lists; all are counted.
inline constexpr std::size_t kDamagesListedMax = 1000;

struct FoundDamage {
  AppName app;
  ReleaseId release;  // none: of the app's config
  std::string version;
  Damage damage;
};

struct VerificationReport {
  std::uint64_t apps = 0;
  std::uint64_t releases = 0;
  std::uint64_t files = 0;    // of all releases; contents that they share are read once an app
  std::uint64_t damaged = 0;  // releases
  std::uint64_t damages = 0;  // in all of them, and in configs
  std::uint64_t secrets = 0;  // of all configs in force or wanted
  std::uint64_t sealed = 0;   // of these, that do not open
  std::vector<FoundDamage> found;
};

class Verification {
 public:
  Verification(std::vector<AppRow> apps, std::shared_ptr<NodeKey> key)
      : apps_(apps.begin(), apps.end()), key_(std::move(key)) {}

  // Checks a slice. False when nothing is left.
  Result<bool> Step(Database& db);

  const VerificationReport& report() const { return report_; }

 private:
  // Whether there is a release to go on with.
  Result<bool> FindWork(Database& db);
  Result<void> CheckConfig(Database& db);
  Result<void> CheckRelease(Database& db, const ReleaseRow& release);
  Result<void> CheckFile(Database& db, const ReleaseRow& release, const ReleaseFile& file);
  // Gives the error back when it is not about what is stored but about reading it now.
  Result<void> NoteDamage(const ReleaseRow& release, const ReleaseFile& file, const Error& error);
  void Note(const ReleaseRow& release, Damage damage);
  void List(FoundDamage found);
  void FinishRelease();

  std::deque<AppRow> apps_;  // yet to come
  std::shared_ptr<NodeKey> key_;
  std::optional<AppRow> app_;
  std::deque<ReleaseId> releases_;  // of app_; the one at hand first
  // Of the release at hand.
  bool begun_ = false;
  bool damaged_ = false;
  std::string last_path_;
  // Hash and path of the files of app_ that were found sound.
  std::unordered_set<std::string> sound_;
  VerificationReport report_;
};

}  // namespace cloister
