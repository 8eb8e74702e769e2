// Contents and releases: what a deploy asks.

#include <charconv>
#include <system_error>

#include <nlohmann/json.hpp>

#include "daemon/admin/handlers.h"
#include "daemon/admin/release_json.h"
#include "daemon/releases/bundle.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

constexpr std::uint32_t kReleasesDefault = 100;
constexpr std::uint32_t kReleasesMax = 1000;

Json CollectedJson(const CollectedRow& release) {
  return {{"id", release.id.number},
          {"version", release.version},
          {"attempt", release.attempt},
          {"state", "collected"},
          {"digest", release.digest.Hex()},
          {"created_at", TimeText(release.created_at)},
          {"collected_at", TimeText(release.collected_at)}};
}

// What a list of releases is asked for.
struct ListWish {
  AppName app;
  std::uint32_t limit = kReleasesDefault;
};

// `answer` with those that went.
void SendWithCollected(AdminContext& context, const ListWish& wish, const Json& answer,
                       const AdminReply& reply) {
  context.parts.releases.collector().ListGone(
      wish.app, wish.limit, [answer, reply](const Outcome<std::vector<CollectedRow>>& collected) {
        if (!collected.ok())
          return reply.Fail(collected.error());
        Json whole = answer;
        whole["collected"] = Json::array();
        for (const CollectedRow& release : collected.value())
          whole["collected"].push_back(CollectedJson(release));
        reply.Send(200, whole);
      });
}

// What a job makes of the body of a new release.
struct CheckedRelease {
  Bundle bundle;
  bool allow_downgrade = false;
  ReleaseGoal goal = ReleaseGoal::kLive;
  std::uint32_t canary_percent = 0;
  Rehearsal rehearsal = Rehearsal::kYes;
};

Outcome<CheckedRelease> CheckReleaseBody(const TakenBody& body) {
  const std::string text = TRY(ReadBody(body));
  ReleaseBody release = TRY(ParseReleaseBody(text));
  return CheckedRelease{.bundle = TRY(CheckBundle(std::move(release.files), release.left_out)),
                        .allow_downgrade = release.allow_downgrade,
                        .goal = release.goal,
                        .canary_percent = release.canary_percent,
                        .rehearsal = release.rehearsal};
}

Outcome<std::vector<ContentName>> CheckContentNames(const TakenBody& body) {
  const std::string text = TRY(ReadBody(body));
  return ParseContentNames(text);
}

std::optional<ReleaseId> ReleaseIdOf(const std::string& text) {
  ReleaseId id;
  const char* end = text.data() + text.size();
  const auto [stop, bad] = std::from_chars(text.data(), end, id.number);
  if (bad != std::errc() || stop != end || !id.valid())
    return std::nullopt;
  return id;
}

void SendView(AdminContext& context, const AppName& app, ReleaseId release,
              const AdminReply& reply) {
  context.parts.releases.pipeline().Find(
      app, release, [&context, app, reply](const Outcome<ReleaseView>& view) {
        if (view.ok())
          reply.Send(200,
                     {{"release", ViewJson(context, app, view.value(), ReadCensus(context, app))}});
        else
          reply.Fail(view.error());
      });
}

}  // namespace

void HandleMissingContents(AdminContext& context, const AdminRequest& request,
                           const AdminReply& reply) {
  const std::string& tenant = request.names[0];
  const TenantRow* row = context.parts.releases.catalog().FindTenant(tenant);
  if (row == nullptr)
    return reply.Fail(ProblemCode::kTenantNotFound, "there is no tenant '" + tenant + "'");
  context.parts.state.Bulk(
      row->id.number, [body = request.body](Database&) { return CheckContentNames(*body); },
      [&context, tenant, reply](Outcome<std::vector<ContentName>> names) {
        if (!names.ok())
          return reply.Fail(names.error());
        context.parts.releases.uploads().Missing(
            tenant, std::move(names).value(), [reply](const Outcome<std::vector<Sha256>>& found) {
              if (!found.ok())
                return reply.Fail(found.error());
              Json missing = Json::array();
              for (const Sha256& sha256 : found.value())
                missing.push_back(sha256.Hex());
              reply.Send(200, {{"missing", std::move(missing)}});
            });
      });
}

void HandleStoreContents(AdminContext& context, const AdminRequest& request,
                         const AdminReply& reply) {
  context.parts.releases.uploads().Store(
      request.names[0], [body = request.body] { return ReadBody(*body); }, request.who,
      [reply](const Outcome<std::size_t>& stored) {
        if (stored.ok())
          reply.Send(200, {{"stored", stored.value()}});
        else
          reply.Fail(stored.error());
      });
}

void HandleListReleases(AdminContext& context, const AdminRequest& request,
                        const AdminReply& reply) {
  const AppEntry* app = FindAppOrFail(context, request, reply);
  if (app == nullptr)
    return;
  const auto limit = request.query.Number("limit", kReleasesMax);
  const Outcome<bool> all = request.query.Flag("all");
  if (!limit.ok() || !all.ok())
    return reply.Fail(limit.ok() ? all.error() : limit.error());
  const ListWish wish{
      .app = app->row.name,
      .limit = static_cast<std::uint32_t>(limit.value().value_or(kReleasesDefault))};
  context.parts.releases.pipeline().List(
      wish.app, wish.limit,
      [&context, wish, all = all.value(), reply](const Outcome<std::vector<ReleaseView>>& views) {
        if (!views.ok())
          return reply.Fail(views.error());
        const Census census = ReadCensus(context, wish.app);
        Json answer = {{"releases", Json::array()}};
        for (const ReleaseView& view : views.value())
          answer["releases"].push_back(ViewJson(context, wish.app, view, census));
        if (all)
          return SendWithCollected(context, wish, answer, reply);
        reply.Send(200, answer);
      });
}

void HandleCreateRelease(AdminContext& context, const AdminRequest& request,
                         const AdminReply& reply) {
  const AppEntry* app = FindAppOrFail(context, request, reply);
  if (app == nullptr)
    return;
  context.parts.state.Bulk(
      app->row.id.number, [body = request.body](Database&) { return CheckReleaseBody(*body); },
      [&context, name = app->row.name, who = request.who, reply](Outcome<CheckedRelease> checked) {
        if (!checked.ok())
          return reply.Fail(checked.error());
        context.parts.releases.pipeline().Deploy(
            {.app = name,
             .bundle = std::move(checked.value().bundle),
             .allow_downgrade = checked.value().allow_downgrade,
             .goal = checked.value().goal,
             .canary_percent = checked.value().canary_percent,
             .rehearsal = checked.value().rehearsal,
             .who = who},
            [&context, name, reply](const Outcome<DeployAnswer>& answer) {
              if (!answer.ok())
                return reply.Fail(answer.error());
              reply.Send(answer.value().created ? 202 : 200,
                         {{"release", ViewJson(context, name, answer.value().view,
                                               ReadCensus(context, name))}});
            });
      });
}

void HandleShowRelease(AdminContext& context, const AdminRequest& request,
                       const AdminReply& reply) {
  const AppEntry* app = FindAppOrFail(context, request, reply);
  if (app == nullptr)
    return;
  const std::optional<ReleaseId> id = ReleaseIdOf(request.names[2]);
  if (!id)
    return reply.Fail(ProblemCode::kReleaseNotFound,
                      "'" + request.names[2].substr(0, 40) + "' is not the id of a release");
  const auto after = request.query.Number("after", ~std::uint32_t{0} - 1);
  const auto wait = request.query.Number("wait_ms", 3600 * 1000);
  if (!after.ok() || !wait.ok())
    return reply.Fail(after.ok() ? wait.error() : after.error());
  const AppName name = app->row.name;
  const Millis longest(wait.value().value_or(0));
  if (longest == Millis(0))
    return SendView(context, name, *id, reply);
  Pipeline& pipeline = context.parts.releases.pipeline();
  const Pipeline::WaitId waiting = pipeline.WaitForStep(
      *id, static_cast<std::uint32_t>(after.value().value_or(0)), longest,
      [&context, name, release = *id, reply] { SendView(context, name, release, reply); });
  reply.OnGone([&pipeline, waiting] { pipeline.CancelWait(waiting); });
}

}  // namespace cloister
