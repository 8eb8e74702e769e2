#include "daemon/releases/release_view.h"

#include <utility>

#include "daemon/store/release_rows.h"

namespace cloister {
namespace {

// One after the other: GCC 12 leaks what an initializer list has when a later TRY in it returns.
Result<ReleaseView> ViewOf(Database& db, ReleaseRow release) {
  ReleaseView view{.release = std::move(release), .steps = {}, .report = {}};
  view.steps = TRY(ListSteps(db, view.release.id));
  view.report = TRY(FindReport(db, view.release.id));
  return view;
}

}  // namespace

Outcome<ReleaseView> ReadView(Database& db, ReleaseId id) {
  Result<ReleaseRow> release = FindRelease(db, id);
  if (!release.ok() && release.error().code == ErrorCode::kNotFound)
    return Refused(ProblemCode::kReleaseNotFound, release.error().message);
  ReleaseRow row = TRY(std::move(release));
  return TRY(ViewOf(db, std::move(row)));
}

Outcome<std::vector<ReleaseView>> ReadViews(Database& db, AppId app, std::uint32_t limit) {
  std::vector<ReleaseView> views;
  for (ReleaseRow& release : TRY(ListReleases(db, app, limit))) {
    views.push_back(TRY(ViewOf(db, std::move(release))));
  }
  return views;
}

}  // namespace cloister
