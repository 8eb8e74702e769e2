#include "daemon/releases/release_view.h"

#include <utility>

#include "daemon/store/release_rows.h"

namespace cloister {

Outcome<ReleaseView> ReadView(Database& db, ReleaseId id) {
  Result<ReleaseRow> release = FindRelease(db, id);
  if (!release.ok() && release.error().code == ErrorCode::kNotFound)
    return Refused(ProblemCode::kReleaseNotFound, release.error().message);
  return ReleaseView{.release = TRY(std::move(release)),
                     .steps = TRY(ListSteps(db, id)),
                     .report = TRY(FindReport(db, id))};
}

Outcome<std::vector<ReleaseView>> ReadViews(Database& db, AppId app, std::uint32_t limit) {
  std::vector<ReleaseView> views;
  for (ReleaseRow& release : TRY(ListReleases(db, app, limit))) {
    const ReleaseId id = release.id;
    views.push_back({.release = std::move(release),
                     .steps = TRY(ListSteps(db, id)),
                     .report = TRY(FindReport(db, id))});
  }
  return views;
}

}  // namespace cloister
