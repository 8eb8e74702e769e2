#include "daemon/store/schema.h"

#include <string>

#include "daemon/store/seals.h"

namespace cloister {
namespace {

// Times are microseconds since 1970 UTC. Hashes are 32 raw bytes. AUTOINCREMENT: an id that was
// given once is never given again, not even after its row was deleted.
constexpr const char* kVersion1 = R"sql(
CREATE TABLE tenants (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE apps (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id INTEGER NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  UNIQUE (tenant_id, name)
) STRICT;

-- What a tenant has uploaded. The bytes come last, so that reading the rest skips them.
CREATE TABLE contents (
  tenant_id INTEGER NOT NULL REFERENCES tenants (id),
  sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
  size INTEGER NOT NULL CHECK (size >= 0),
  uploaded_at INTEGER NOT NULL,
  compressed BLOB NOT NULL,
  PRIMARY KEY (tenant_id, sha256)
) STRICT;
CREATE INDEX contents_by_age ON contents (uploaded_at);

CREATE TABLE releases (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  app_id INTEGER NOT NULL REFERENCES apps (id),
  version TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  state TEXT NOT NULL,
  live INTEGER NOT NULL DEFAULT 0 CHECK (live IN (0, 1)),
  went_live_at INTEGER,
  digest BLOB NOT NULL CHECK (length(digest) = 32),
  entry TEXT NOT NULL,
  manifest TEXT NOT NULL,
  memory_max_bytes INTEGER NOT NULL,
  address_space_max_bytes INTEGER NOT NULL,
  threads_max INTEGER NOT NULL,
  cpu_millis INTEGER NOT NULL,
  wall_max_ms INTEGER NOT NULL,
  workers_min INTEGER NOT NULL,
  workers_max INTEGER NOT NULL,
  queue_max INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  UNIQUE (app_id, version, attempt)
) STRICT;
-- What makes "one live release an app" true whatever the program does.
CREATE UNIQUE INDEX releases_live ON releases (app_id) WHERE live = 1;

CREATE TABLE release_files (
  release_id INTEGER NOT NULL REFERENCES releases (id),
  path TEXT NOT NULL,
  sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
  size INTEGER NOT NULL CHECK (size >= 0),
  PRIMARY KEY (release_id, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX release_files_by_content ON release_files (sha256);

CREATE TABLE bytecode (
  app_id INTEGER NOT NULL REFERENCES apps (id),
  sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
  path TEXT NOT NULL,
  magic TEXT NOT NULL,
  code BLOB NOT NULL,
  PRIMARY KEY (app_id, sha256, path, magic)
) STRICT;

CREATE TABLE steps (
  release_id INTEGER NOT NULL REFERENCES releases (id),
  sequence INTEGER NOT NULL,
  name TEXT NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('running', 'done', 'failed')),
  started_at INTEGER NOT NULL,
  ended_at INTEGER,
  detail TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (release_id, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE reports (
  release_id INTEGER PRIMARY KEY REFERENCES releases (id),
  code TEXT NOT NULL,
  message TEXT NOT NULL,
  file TEXT NOT NULL,
  line INTEGER NOT NULL,
  traceback TEXT NOT NULL,
  advice TEXT NOT NULL
) STRICT;

-- Written in the transaction of the change that it tells of. Keeps names, since rows go.
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  who TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;
)sql";

// Where a deploy leads, who asked for it, canaries, and the order in which releases were live.
constexpr const char* kGoals = R"sql(
ALTER TABLE releases ADD COLUMN goal TEXT NOT NULL DEFAULT 'live'
  CHECK (goal IN ('live', 'canary', 'check'));
ALTER TABLE releases ADD COLUMN canary_percent INTEGER NOT NULL DEFAULT 0
  CHECK (canary_percent BETWEEN 0 AND 99);
ALTER TABLE releases ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
-- 1: a node that left on purpose was at work on it, and the next one goes on.
ALTER TABLE releases ADD COLUMN resume INTEGER NOT NULL DEFAULT 0 CHECK (resume IN (0, 1));
-- Counts up each time that a release of the app goes live; NULL: this one never did. Not a time:
-- clocks jump.
ALTER TABLE releases ADD COLUMN live_sequence INTEGER;
UPDATE releases SET live_sequence = id WHERE went_live_at IS NOT NULL;
CREATE UNIQUE INDEX releases_canary ON releases (app_id) WHERE state = 'canary';
)sql";

// What decides how a release runs gets a seal, and the audit's word on its digest can be found.
constexpr const char* kSeals = R"sql(
ALTER TABLE releases ADD COLUMN run_seal BLOB NOT NULL DEFAULT x'';
ALTER TABLE bytecode ADD COLUMN seal BLOB NOT NULL DEFAULT x'';
CREATE INDEX audit_of_creations ON audit (subject) WHERE action = 'release_created';
)sql";

// Releases go, and what was once live is remembered: whose version it was, and with which files.
constexpr const char* kRetention = R"sql(
ALTER TABLE releases ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1));

CREATE TABLE collected_releases (
  id INTEGER PRIMARY KEY,
  app_id INTEGER NOT NULL REFERENCES apps (id),
  version TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  digest BLOB NOT NULL CHECK (length(digest) = 32),
  created_at INTEGER NOT NULL,
  went_live_at INTEGER NOT NULL,
  collected_at INTEGER NOT NULL
) STRICT;
CREATE INDEX collected_releases_by_version ON collected_releases (app_id, version);
)sql";

// What a release had loaded when it had booted (text of daemon/releases/modules.h, compressed), and
// the audit's word on what serves.
constexpr const char* kModules = R"sql(
CREATE TABLE release_modules (
  release_id INTEGER PRIMARY KEY REFERENCES releases (id),
  compressed BLOB NOT NULL
) STRICT;
CREATE INDEX audit_of_serving ON audit (subject) WHERE action IN ('release_live', 'release_canary');
)sql";

// What was set for a tenant (app_id 0) or an app, as text: names and values of config/quota.h.
constexpr const char* kQuotas = R"sql(
CREATE TABLE quotas (
  tenant_id INTEGER NOT NULL REFERENCES tenants (id),
  app_id INTEGER NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  set_at INTEGER NOT NULL,
  set_by TEXT NOT NULL,
  PRIMARY KEY (tenant_id, app_id, name)
) STRICT, WITHOUT ROWID;
)sql";

// Which paths of a release are files of its bundle.
constexpr const char* kStatics = R"sql(
ALTER TABLE releases ADD COLUMN statics TEXT NOT NULL DEFAULT '';
)sql";

// What stands in front of this state's entries in Redis, which other nodes may use too; and for
// each app the generation of its keys, once one was lost (apis/cache).
constexpr const char* kCache = R"sql(
CREATE TABLE cache_space (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  name TEXT NOT NULL
) STRICT;
INSERT INTO cache_space VALUES (1, lower(hex(randomblob(6))));

CREATE TABLE cache_generations (
  app_id INTEGER PRIMARY KEY REFERENCES apps (id),
  generation INTEGER NOT NULL
) STRICT;
)sql";

// The config of apps, by version. Plain values of all versions stay; the sealed value of a secret
// is only there in the version in force and in the one that is wanted.
constexpr const char* kConfig = R"sql(
CREATE TABLE config_versions (
  app_id INTEGER NOT NULL REFERENCES apps (id),
  number INTEGER NOT NULL CHECK (number > 0),
  state TEXT NOT NULL CHECK (state IN ('wanted', 'in_force', 'former', 'failed')),
  action TEXT NOT NULL,
  detail TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  -- Of the release that takes it along when it goes live; 0: a change of the config alone.
  with_release INTEGER NOT NULL DEFAULT 0,
  report_code TEXT NOT NULL DEFAULT '',
  report_message TEXT NOT NULL DEFAULT '',
  report_file TEXT NOT NULL DEFAULT '',
  report_line INTEGER NOT NULL DEFAULT 0,
  report_traceback TEXT NOT NULL DEFAULT '',
  report_advice TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (app_id, number)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX config_in_force ON config_versions (app_id) WHERE state = 'in_force';
CREATE UNIQUE INDEX config_wanted ON config_versions (app_id) WHERE state = 'wanted';

CREATE TABLE config_values (
  app_id INTEGER NOT NULL,
  number INTEGER NOT NULL,
  name TEXT NOT NULL,
  secret INTEGER NOT NULL CHECK (secret IN (0, 1)),
  value BLOB NOT NULL,
  key_id TEXT NOT NULL,
  set_at INTEGER NOT NULL,
  set_by TEXT NOT NULL,
  PRIMARY KEY (app_id, number, name),
  FOREIGN KEY (app_id, number) REFERENCES config_versions (app_id, number)
) STRICT, WITHOUT ROWID;

-- The version with which a release served last; 0: none. NULL: it is not known.
ALTER TABLE releases ADD COLUMN config INTEGER;
)sql";

// Which database is the app's: its generation, and the last number that was given to one. Numbers
// are also those of the snapshots, each of a time when that release was live.
constexpr const char* kSnapshots = R"sql(
ALTER TABLE apps ADD COLUMN data INTEGER NOT NULL DEFAULT 0;
ALTER TABLE apps ADD COLUMN data_last INTEGER NOT NULL DEFAULT 0;
ALTER TABLE releases ADD COLUMN rehearsal INTEGER NOT NULL DEFAULT 1 CHECK (rehearsal IN (0, 1));
CREATE TABLE snapshots (
  app_id INTEGER NOT NULL REFERENCES apps (id),
  number INTEGER NOT NULL CHECK (number >= 0),
  release_id INTEGER NOT NULL,
  version TEXT NOT NULL,
  taken_at INTEGER NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (app_id, number)
) STRICT, WITHOUT ROWID;
)sql";

constexpr Migration kMigrations[] = {
    kVersion1, kGoals,    {kSeals, SealOlderRows}, kRetention, kModules, kQuotas, kStatics, kCache,
    kConfig,   kSnapshots};

}  // namespace

std::span<const Migration> Migrations() {
  return kMigrations;
}

Result<std::uint64_t> SchemaVersion(Database& db) {
  Statement version = TRY(db.Query("PRAGMA user_version"));
  TRY(version.Step());
  return version.UInt(0);
}

Result<void> Migrate(Database& db) {
  return Migrate(db, Migrations());
}

Result<void> Migrate(Database& db, std::span<const Migration> migrations) {
  const std::uint64_t found = TRY(SchemaVersion(db));
  if (found > migrations.size())
    return Error{ErrorCode::kInvalidArgument,
                 "the state is of version " + std::to_string(found) +
                     ", written by a newer Cloister; this one knows versions up to " +
                     std::to_string(migrations.size())};
  for (std::uint64_t version = found; version < migrations.size(); ++version) {
    Transaction transaction = TRY(Transaction::Begin(db));
    TRY(db.Execute(migrations[version].sql));
    if (migrations[version].then != nullptr)
      TRY(migrations[version].then(db));
    TRY(db.Execute("PRAGMA user_version=" + std::to_string(version + 1)));
    TRY(transaction.Commit());
  }
  return {};
}

}  // namespace cloister
