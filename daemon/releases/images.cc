#include "daemon/releases/images.h"

#include <sys/stat.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "apis/base/check.h"
#include "daemon/releases/integrity.h"
#include "daemon/store/bytecode.h"
#include "daemon/store/contents.h"
#include "daemon/store/release_rows.h"
#include "sandbox/image/image.h"

namespace cloister {
namespace {

// Calls `visit(file, contents)` for every file of the release in the order of the paths; its
// contents have the hash that the release names.
Result<void> ForEachContent(
    Database& db, ReleaseId release,
    const std::function<Result<void>(const ReleaseFile&, std::string)>& visit) {
  Statement rows =
      TRY(db.Query("SELECT f.path, f.sha256, f.size, c.compressed "
                   "FROM releases r JOIN apps a ON a.id = r.app_id "
                   "JOIN release_files f ON f.release_id = r.id "
                   "LEFT JOIN contents c ON c.tenant_id = a.tenant_id AND c.sha256 = f.sha256 "
                   "WHERE r.id = ? ORDER BY f.path",
                   release.number));
  while (TRY(rows.Step())) {
    const ReleaseFile file{.path = std::string(rows.Text(0)),
                           .sha256 = Sha256::FromBytes(rows.BlobBytes(1)).value_or(Sha256()),
                           .size = rows.UInt(2)};
    if (rows.IsNull(3))
      return Error{ErrorCode::kNotFound, "the content of '" + file.path + "' is not there"};
    Result<std::string> contents =
        OpenContent(rows.BlobBytes(3), {.sha256 = file.sha256, .size = file.size});
    if (!contents.ok())
      return std::move(contents).error().In("'" + file.path + "'");
    TRY(visit(file, std::move(contents).value()));
  }
  return {};
}

// Both are in the order of the paths.
Result<std::shared_ptr<const StaticImage>> OpenStatics(Database& db, ReleaseId release,
                                                       std::shared_ptr<const UniqueFd> fd) {
  Image image = TRY(Image::Open(fd->get(), Image::NeedSeals::kYes));
  const std::vector<ReleaseFile> files = TRY(ListFiles(db, release));
  if (files.size() != image.size())
    return Error{ErrorCode::kSystem, "the image does not have the files of its release"};
  std::vector<Sha256> hashes;
  hashes.reserve(files.size());
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (image.At(i).path != files[i].path)
      return Error{ErrorCode::kSystem, "the image does not have '" + files[i].path + "'"};
    hashes.push_back(files[i].sha256);
  }
  return std::make_shared<const StaticImage>(std::move(fd), std::move(image), std::move(hashes));
}

Result<Sources> BuildSources(Database& db, ReleaseId release, const std::string& magic) {
  Sources sources;
  sources.modules = TRY(MissingBytecode(db, release, magic));
  if (sources.modules.empty())
    return sources;
  ImageBuilder builder;
  auto next = sources.modules.begin();  // both lists are in the order of the paths
  const auto add = [&](const ReleaseFile& file, std::string contents) -> Result<void> {
    if (next != sources.modules.end() && next->path == file.path) {
      builder.Add(file.path, std::move(contents), "");
      ++next;
    }
    return {};
  };
  TRY(ForEachContent(db, release, add));
  CHECK(next == sources.modules.end());
  sources.image = std::make_shared<const UniqueFd>(
      TRY(builder.BuildMemfd("sources-" + std::to_string(release.number))));
  return sources;
}

}  // namespace

Result<ContentsSummary> VerifyContents(Database& db, ReleaseId release) {
  ContentsSummary summary;
  TRY(ForEachContent(db, release, [&](const ReleaseFile& file, const std::string&) -> Result<void> {
    ++summary.files;
    summary.bytes += file.size;
    return {};
  }));
  return summary;
}

std::string Images::RuntimeMagic() {
  return CLOISTER_PYTHON_MAGIC;
}

Images::Images(Loop& loop, State& state, Options options)
    : loop_(loop),
      state_(state),
      options_(std::move(options)),
      self_(std::make_shared<Images*>(this)) {}

Images::~Images() {
  *self_ = nullptr;
}

Result<Images::Built> Images::Build(Database& db, ReleaseId release, const std::string& magic) {
  const Transaction moment = TRY(Transaction::BeginRead(db));
  const ReleaseRow row = TRY(FindRelease(db, release));
  TRY(CheckRows(db, row));
  ImageBuilder builder;
  builder.SetTime(static_cast<std::uint64_t>(
      std::chrono::duration_cast<Seconds>(row.created_at.time_since_epoch()).count()));
  const auto add = [&](const ReleaseFile& file, std::string contents) -> Result<void> {
    std::string code;
    if (file.path.ends_with(".py")) {
      Result<std::string> loaded =
          LoadBytecode(db, row.app, {.sha256 = file.sha256, .path = file.path}, magic);
      if (!loaded.ok())
        return std::move(loaded).error().In("'" + file.path + "'");
      code = std::move(loaded).value();
    }
    builder.Add(file.path, std::move(contents), std::move(code));
    return {};
  };
  TRY(ForEachContent(db, release, add));
  UniqueFd fd = TRY(builder.BuildMemfd("release-" + std::to_string(release.number)));
  struct stat status = {};
  if (::fstat(fd.get(), &status) != 0)
    return SystemError("sizing an image");
  return Built{.fd = std::make_shared<const UniqueFd>(std::move(fd)),
               .size = Bytes{static_cast<std::uint64_t>(status.st_size)}};
}

void Images::LoadImage(ReleaseId release, Done done) {
  if (auto image = alive_[release].lock()) {
    const auto held = std::find_if(held_.begin(), held_.end(),
                                   [&](const Held& entry) { return entry.release == release; });
    if (held != held_.end())
      held_.splice(held_.begin(), held_, held);
    loop_.Post([image = std::move(image), done = std::move(done)] { done(image); });
    return;
  }
  std::vector<Done>& waiting = waiting_[release];
  waiting.push_back(std::move(done));
  if (waiting.size() > 1)
    return;  // it is being built
  state_.Bulk(
      release.number,
      [release, magic = options_.magic](Database& db) { return Build(db, release, magic); },
      [self = self_, release](Result<Built> built) {
        if (*self != nullptr)
          (*self)->OnBuilt(release, std::move(built));
      });
}

void Images::LoadStatics(ReleaseId release, StaticDone done) {
  LoadImage(release, [self = self_, release,
                      done = std::move(done)](Result<std::shared_ptr<const UniqueFd>> image) {
    if (!image.ok())
      return done(std::move(image).error());
    if (*self == nullptr)
      return;
    (*self)->state_.Bulk(
        release.number,
        [release, fd = std::move(image).value()](Database& db) {
          return OpenStatics(db, release, fd);
        },
        done);
  });
}

void Images::OnBuilt(ReleaseId release, Result<Built> built) {
  const std::vector<Done> waiting = std::move(waiting_.extract(release).mapped());
  if (built.ok()) {
    alive_[release] = built.value().fd;
    Hold(release, built.value());
  } else {
    alive_.erase(release);
  }
  for (const Done& done : waiting) {
    if (built.ok())
      done(built.value().fd);
    else
      done(Error(built.error()));
  }
}

void Images::Hold(ReleaseId release, Built image) {
  held_bytes_.count += image.size.count;
  held_.push_front({.release = release, .image = std::move(image)});
  // The newest stays even when it alone is over the budget: it is about to be used.
  while (held_bytes_ > options_.budget && held_.size() > 1) {
    held_bytes_.count -= held_.back().image.size.count;
    held_.pop_back();
  }
  std::erase_if(alive_, [](const auto& entry) { return entry.second.expired(); });
}

void Images::Forget(ReleaseId release) {
  for (auto held = held_.begin(); held != held_.end(); ++held) {
    if (held->release != release)
      continue;
    held_bytes_.count -= held->image.size.count;
    held_.erase(held);
    return;
  }
}

void Images::LoadSources(ReleaseId release, std::function<void(Result<Sources>)> done) {
  state_.Bulk(
      release.number,
      [release, magic = options_.magic](Database& db) { return BuildSources(db, release, magic); },
      std::move(done));
}

}  // namespace cloister
