#include "daemon/store/seals.h"

#include <string>
#include <utility>
#include <vector>

namespace cloister {
namespace {

// Adds fields so that no two lists of them give the same bytes: what is text comes with its size.
class Sealer {
 public:
  void Add(std::string_view text) {
    Add(text.size());
    stream_.Add(text);
  }
  void Add(std::uint64_t number) { stream_.Add(std::to_string(number) + '\n'); }
  Sha256 Finish() { return stream_.Finish(); }

 private:
  Sha256Stream stream_;
};

// With the columns of the first version: a migration does not see later ones.
Result<void> SealReleases(Database& db) {
  std::vector<std::pair<std::uint64_t, Sha256>> seals;
  {
    Statement rows =
        TRY(db.Query("SELECT id, entry, memory_max_bytes, address_space_max_bytes, threads_max, "
                     "cpu_millis, wall_max_ms, workers_min, workers_max, queue_max FROM releases"));
    while (TRY(rows.Step()))
      seals.emplace_back(
          rows.UInt(0),
          SealOfRun({.entry = std::string(rows.Text(1)),
                     .limits = {.memory_max = Bytes{rows.UInt(2)},
                                .address_space_max = Bytes{rows.UInt(3)},
                                .threads_max = static_cast<std::uint32_t>(rows.Int(4)),
                                .cpu_millis = static_cast<std::uint32_t>(rows.Int(5)),
                                .wall_max = Millis(rows.Int(6))},
                     .workers_min = static_cast<std::uint32_t>(rows.Int(7)),
                     .workers_max = static_cast<std::uint32_t>(rows.Int(8)),
                     .queue_max = static_cast<std::uint32_t>(rows.Int(9))}));
  }
  for (const auto& [id, seal] : seals)
    TRY(db.Run("UPDATE releases SET run_seal = ? WHERE id = ?", Blob{seal.view()}, id));
  return {};
}

Result<void> SealBytecode(Database& db) {
  std::vector<std::uint64_t> ids;
  {
    Statement rows = TRY(db.Query("SELECT rowid FROM bytecode"));
    while (TRY(rows.Step()))
      ids.push_back(rows.UInt(0));
  }
  for (const std::uint64_t id : ids) {
    Sha256 seal;
    {
      Statement row = TRY(
          db.Query("SELECT app_id, sha256, path, magic, code FROM bytecode WHERE rowid = ?", id));
      TRY(row.Step());
      const BytecodeName name{.sha256 = Sha256::FromBytes(row.BlobBytes(1)).value_or(Sha256()),
                              .path = std::string(row.Text(2))};
      seal = SealOfBytecode({.app = {row.UInt(0)}, .name = name, .magic = row.Text(3)},
                            row.BlobBytes(4));
    }
    TRY(db.Run("UPDATE bytecode SET seal = ? WHERE rowid = ?", Blob{seal.view()}, id));
  }
  return {};
}

}  // namespace

Sha256 SealOfRun(const ReleaseRun& run) {
  Sealer sealer;
  sealer.Add(run.entry);
  sealer.Add(run.limits.memory_max.count);
  sealer.Add(run.limits.address_space_max.count);
  sealer.Add(run.limits.threads_max);
  sealer.Add(run.limits.cpu_millis);
  sealer.Add(static_cast<std::uint64_t>(run.limits.wall_max.count()));
  sealer.Add(run.workers_min);
  sealer.Add(run.workers_max);
  sealer.Add(run.queue_max);
  // Not where there are none: the seals of releases from before there were any hold.
  if (!run.statics.empty())
    sealer.Add(run.statics);
  return sealer.Finish();
}

Sha256 SealOfBytecode(const BytecodePlace& place, std::string_view compressed) {
  Sealer sealer;
  sealer.Add(place.app.number);
  sealer.Add(place.name.sha256.view());
  sealer.Add(place.name.path);
  sealer.Add(place.magic);
  sealer.Add(compressed);
  return sealer.Finish();
}

Result<void> SealOlderRows(Database& db) {
  TRY(SealReleases(db));
  return SealBytecode(db);
}

}  // namespace cloister
