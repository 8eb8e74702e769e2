#include "daemon/releases/uploads.h"

#include <memory>
#include <unordered_set>
#include <utility>

#include "apis/wire/codec.h"
#include "config/bundle_rules.h"
#include "daemon/store/compress.h"
#include "daemon/store/contents.h"

namespace cloister {
namespace {

// How many were stored.
Outcome<std::size_t> Put(Database& db, const TenantRow& owner,
                         const std::vector<VerifiedContent>& contents, const Change& change) {
  Result<void> stored = StoreContents(db, owner, contents, change);
  if (!stored.ok() && stored.error().code == ErrorCode::kInvalidArgument)
    return NoTenant(owner.name);  // it was deleted in the meantime
  TRY(std::move(stored));
  return contents.size();
}

}  // namespace

Outcome<std::vector<VerifiedContent>> DecodeBatch(std::string_view batch) {
  std::vector<VerifiedContent> contents;
  std::unordered_set<Sha256> seen;
  WireReader in(batch);
  for (std::size_t count = 1; !in.AtEnd(); ++count) {
    if (count > kBundleFilesMax)
      return Refused(ProblemCode::kBatchMalformed,
                     "the batch has more than " + std::to_string(kBundleFilesMax) + " contents");
    const std::optional<Sha256> sha256 = Sha256::FromBytes(in.Take(32));
    const std::uint64_t size = in.U64();
    if (!in.ok() || !sha256)
      return Refused(ProblemCode::kBatchMalformed, "the batch ends in the middle of a content");
    if (size > kBundleFileMax.count)
      return Refused(ProblemCode::kContentTooLarge,
                     "content " + sha256->Hex() + " has " + std::to_string(size) +
                         " bytes; a file may have at most " + std::to_string(kBundleFileMax.count));
    const std::string_view bytes = in.Take(size);
    if (!in.ok())
      return Refused(ProblemCode::kBatchMalformed,
                     "the batch ends before content " + sha256->Hex() + " does");
    if (const Sha256 found = Sha256Of(bytes); found != *sha256)
      return Refused(ProblemCode::kContentHashMismatch,
                     "the bytes sent as " + sha256->Hex() + " have the hash " + found.Hex());
    if (seen.insert(*sha256).second)
      contents.push_back({.sha256 = *sha256, .size = size, .compressed = Compress(bytes)});
  }
  return contents;
}

void Uploads::Missing(const std::string& tenant, std::vector<ContentName> wanted,
                      std::function<void(Outcome<std::vector<Sha256>>)> done) {
  const TenantRow* row = catalog_.FindTenant(tenant);
  if (row == nullptr)
    return done(NoTenant(tenant));
  for (const ContentName& content : wanted)
    if (content.size > kBundleFileMax.count)
      return done(Refused(ProblemCode::kContentTooLarge,
                          "content " + content.sha256.Hex() + " has " +
                              std::to_string(content.size) + " bytes; a file may have at most " +
                              std::to_string(kBundleFileMax.count)));
  state_.Read(
      row->id.number,
      [id = row->id, wanted = std::move(wanted)](Database& db) -> Outcome<std::vector<Sha256>> {
        return TRY(MissingContents(db, id, wanted));
      },
      std::move(done));
}

void Uploads::Store(const std::string& tenant, std::function<Result<std::string>()> read,
                    std::string who, std::function<void(Outcome<std::size_t>)> done) {
  const TenantRow* row = catalog_.FindTenant(tenant);
  if (row == nullptr)
    return done(NoTenant(tenant));
  if (!catalog_.open())
    return done(NotOpen());
  using Contents = std::vector<VerifiedContent>;
  const Change change{.who = std::move(who), .when = clock_.Wall()};
  state_.Bulk(
      row->id.number,
      [read = std::move(read)](Database&) -> Outcome<Contents> {
        const std::string batch = TRY(read());
        return DecodeBatch(batch);
      },
      [&state = state_, owner = *row, change, done = std::move(done)](Outcome<Contents> decoded) {
        if (!decoded.ok())
          return done(std::move(decoded).error());
        auto contents = std::make_shared<const Contents>(std::move(decoded).value());
        state.Write(
            owner.id.number,
            [owner, contents, change](Database& db) { return Put(db, owner, *contents, change); },
            done);
      });
}

}  // namespace cloister
