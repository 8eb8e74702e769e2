#include "daemon/releases/data_steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "apis/base/log.h"
#include "daemon/workers/database_copy.h"

namespace cloister {
namespace {

std::string Mebibytes(Bytes size) {
  return fmt::format("{:.1f} MiB", static_cast<double>(size.count) / static_cast<double>(1U << 20));
}

// Everything in the app's data/ but what has to be there.
void RemoveUnknown(const std::string& app_directory, const std::vector<std::uint64_t>& known) {
  std::error_code error;
  std::vector<std::filesystem::path> gone;
  for (std::filesystem::directory_iterator entry(app_directory + "/data", error), end;
       !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::uint64_t number = 0;
    const char* const stop = name.data() + name.size();
    const auto [last, bad] = std::from_chars(name.data(), stop, number);
    const bool is_known =
        bad == std::errc() && last == stop && std::ranges::find(known, number) != known.end();
    if (!is_known)
      gone.push_back(entry->path());
  }
  for (const std::filesystem::path& path : gone) {
    std::filesystem::remove_all(path, error);
    Log(LogLevel::kInfo, "database_removed", {{"path", path.string()}});
  }
  // The first database has no directory of its own.
  if (std::ranges::find(known, std::uint64_t{0}) == known.end())
    for (const char* const file : {kDatabaseFile, kDatabaseLogFile, kDatabaseIndexFile})
      std::filesystem::remove(app_directory + file, error);
}

struct Planned {
  DataNumbers numbers;
  std::string why_not;  // no snapshot, for people; empty: one is taken
};

Result<Planned> PlanSnapshot(Database& db, const AppRow& app, const std::string& directory,
                             const ReleaseSettings& settings) {
  if (settings.snapshots_max == 0)
    return Planned{.numbers = {}, .why_not = "no snapshot, "};
  const Bytes size = SizeOfDatabase(DataDirectory(directory, app.data));
  if (size.count == 0)
    return Planned{.numbers = {}, .why_not = "no database yet, "};
  if (size > settings.snapshot_size)
    return Planned{.numbers = {},
                   .why_not = fmt::format("no snapshot (the database has {}, "
                                          "releases.snapshot_size is {}), ",
                                          Mebibytes(size), Mebibytes(settings.snapshot_size))};
  RemoveUnknown(directory, TRY(ListData(db, app.id)));
  return Planned{.numbers = TRY(TakeDataNumber(db, app.id)), .why_not = {}};
}

}  // namespace

DataSteps::DataSteps(const Parts& parts)
    : parts_(parts), self_(std::make_shared<DataSteps*>(this)) {}

DataSteps::~DataSteps() {
  *self_ = nullptr;
}

std::optional<Problem> DataSteps::Refuse(TurnedData data) const {
  if (data == TurnedData::kStays || parts_.databases == nullptr || !parts_.databases->on_server())
    return std::nullopt;
  return Refused(
      ProblemCode::kSnapshotNotFound,
      "apps' databases are on an SQL server, of which the node has no snapshots: go back "
      "with the means of that server, or without the data");
}

void DataSteps::TakeSnapshot(const AppRow& app, const ReleaseName& live, const std::string& next,
                             std::function<void(Result<std::string>)> done) {
  if (parts_.databases == nullptr)
    return done(std::string());
  if (parts_.databases->on_server())
    return done(std::string("no snapshot (the database is on a server), "));
  SnapshotRow snapshot{.number = 0,
                       .release = live.id,
                       .version = live.version,
                       .taken_at = parts_.clock.Wall(),
                       .reason = "before the release script of " + next};
  parts_.state.Write(
      app.id.number,
      [app, directory = DirectoryOf(app), settings = parts_.settings](Database& db) {
        return PlanSnapshot(db, app, directory, settings);
      },
      [self = self_, app, snapshot = std::move(snapshot),
       done = std::move(done)](Result<Planned> planned) mutable {
        if (*self == nullptr)
          return;
        if (!planned.ok())
          return done(std::move(planned).error());
        if (!planned.value().why_not.empty())
          return done(std::move(planned.value().why_not));
        snapshot.number = planned.value().numbers.next;
        (*self)->parts_.databases->Copy(
            {.app = app.id,
             .from = app.data,
             .to = DataDirectory((*self)->DirectoryOf(app), snapshot.number)},
            [self, app, snapshot, done](Result<Bytes> size) {
              if (*self == nullptr)
                return;
              if (!size.ok())
                return done(std::move(size).error());
              (*self)->OnSnapshotCopied(app, snapshot, size.value(), done);
            });
      });
}

void DataSteps::OnSnapshotCopied(const AppRow& app, const SnapshotRow& snapshot, Bytes size,
                                 std::function<void(Result<std::string>)> done) {
  Log(LogLevel::kInfo, "snapshot_taken",
      {{"app", app.name.ToString()},
       {"number", snapshot.number},
       {"version", snapshot.version},
       {"bytes", size.count}});
  parts_.state.Write(
      app.id.number,
      [app, snapshot, size, directory = DirectoryOf(app),
       max = parts_.settings.snapshots_max](Database& db) -> Result<std::string> {
        Transaction transaction = TRY(Transaction::Begin(db));
        TRY(AddSnapshot(db, app.id, snapshot));
        TRY(PruneSnapshots(db, app.id, max));
        TRY(transaction.Commit());
        RemoveUnknown(directory, TRY(ListData(db, app.id)));
        return fmt::format("snapshot {} ({}), ", snapshot.number, Mebibytes(size));
      },
      std::move(done));
}

void DataSteps::CopySnapshot(const AppRow& app, std::uint64_t snapshot,
                             std::function<void(Result<std::uint64_t>)> done) {
  if (parts_.databases == nullptr)
    return done(Error{ErrorCode::kUnavailable, "this node has no databases"});
  parts_.state.Write(
      app.id.number,
      [app = app.id, snapshot, directory = DirectoryOf(app)](Database& db) -> Result<DataNumbers> {
        const std::vector<std::uint64_t> known = TRY(ListData(db, app));
        if (std::ranges::find(known, snapshot) == known.end())
          return Error{ErrorCode::kNotFound,
                       "the snapshot " + std::to_string(snapshot) + " is not there any more"};
        RemoveUnknown(directory, known);
        return TakeDataNumber(db, app);
      },
      [self = self_, app, snapshot, done = std::move(done)](Result<DataNumbers> numbers) {
        if (*self == nullptr)
          return;
        if (!numbers.ok())
          return done(std::move(numbers).error());
        const std::uint64_t next = numbers.value().next;
        (*self)->parts_.databases->Copy(
            {.app = app.id, .from = snapshot, .to = DataDirectory((*self)->DirectoryOf(app), next)},
            [next, done](Result<Bytes> size) {
              done(size.ok() ? Result<std::uint64_t>(next) : std::move(size).error());
            });
      });
}

void DataSteps::Measure(const AppRow& app, std::function<void(Result<Bytes>)> done) {
  parts_.state.Read(
      app.id.number,
      [directory = DataDirectory(DirectoryOf(app), app.data)](Database&) -> Result<Bytes> {
        return SizeOfDatabase(directory);
      },
      std::move(done));
}

}  // namespace cloister
