#include "daemon/cli/deploy.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include <nlohmann/json.hpp>

#include "daemon/cli/app_ref.h"
#include "daemon/cli/follow.h"
#include "daemon/cli/local_files.h"
#include "daemon/cli/upload.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

std::uint64_t SizeOf(const std::vector<LocalFile>& files) {
  std::uint64_t size = 0;
  for (const LocalFile& file : files)
    size += file.size;
  return size;
}

// One deploy, step by step; what a step finds is kept for the next.
class DeployRun {
 public:
  DeployRun(AdminApi& api, Console& console, const DeployOptions& options)
      : api_(api), console_(console), options_(options) {}

  Attempt<void> Run() {
    const MonotonicTime started = clock_.Now();
    manifest_ = TRY(LoadManifest(options_.folder));
    const AppName app = TRY(ChooseApp());
    Head(app);
    TRY(FindBundle());
    TRY(MakeSureOfApp(app));
    const UploadSummary upload = TRY(Upload(app));
    const Json answer = TRY(MakeRelease(app));
    const auto elapsed = std::chrono::duration_cast<Millis>(clock_.Now() - started);
    return Report(app, answer, upload, elapsed);
  }

 private:
  // From --app or the manifest; the name of the tenant from either.
  Attempt<AppName> ChooseApp() {
    std::string text = options_.app.empty() ? manifest_.app : options_.app;
    if (text.find('/') == std::string::npos && !manifest_.tenant.empty())
      text = manifest_.tenant + "/" + text;
    return ResolveApp(api_, text);
  }

  void Head(const AppName& app) {
    console_.Line(console_.Colour(Paint::kBold, app.ToString() + " " + manifest_.version));
  }

  Attempt<void> FindBundle() {
    BundleRules rules;
    const IgnoreRules ignore = TRY(LoadIgnoreRules(options_.folder));
    files_ = TRY(FindFiles(options_.folder, ignore, rules));
    if (std::none_of(files_.begin(), files_.end(),
                     [](const LocalFile& file) { return file.path == kManifestPath; }))
      return Failure{ExitCode::kRefused, "manifest_missing", "cloister.toml is ignored",
                     "the node reads it from the bundle", "take it out of .cloisterignore"};
    console_.Line("  bundle    " + CountText(files_.size(), "file"));
    if (!manifest_.packages.empty())
      TRY(AddPackages(rules));
    TRY(CheckStaticPaths(manifest_, files_, options_.folder));
    return HashFiles(files_, console_, clock_);
  }

  Attempt<void> AddPackages(BundleRules& rules) {
    console_.Status("  packages  asking " + options_.python + " ...");
    CollectedPackages collected = TRY(CollectPackages(options_.python, manifest_.packages));
    std::unordered_set<std::string> own;
    for (const LocalFile& file : files_)
      own.insert(file.path);
    // What the bundle brings itself comes first.
    std::erase_if(collected.files,
                  [&own](const LocalFile& file) { return own.contains(file.path); });
    for (const LocalFile& file : collected.files)
      if (Result<void> added = rules.Add(file.path, file.size); !added.ok())
        return BundleFailure(std::move(added).error());
    console_.Line(fmt::format("  packages  {}: {}, {}", fmt::join(collected.packages, ", "),
                              CountText(collected.files.size(), "file"),
                              FormatBytes(SizeOf(collected.files))));
    for (const LeftOut& left : collected.left_out)
      console_.Line("  left out  " + Harmless(left.path) + ": " + left.reason);
    left_out_ = std::move(collected.left_out);
    files_.insert(files_.end(), std::make_move_iterator(collected.files.begin()),
                  std::make_move_iterator(collected.files.end()));
    return {};
  }

  Attempt<void> MakeSureOfApp(const AppName& app) {
    Attempt<Json> found = api_.Get(AppTarget(app));
    if (found.ok())
      return {};
    if (found.error().code != "app_not_found")
      return std::move(found).error();
    TRY(api_.Post(TenantTarget(app.tenant(), "/apps"), {{"name", app.app()}}));
    created_app_ = true;
    console_.Line("  app       " + app.ToString() + " is new: created");
    return {};
  }

  Attempt<UploadSummary> Upload(const AppName& app) {
    const UploadSummary upload = TRY(UploadContents(api_, app.tenant(), files_, console_));
    std::string line = "  upload    ";
    if (upload.contents_sent == 0) {
      line += "nothing: the node has all of it";
    } else {
      line += fmt::format("{} of {}, {} in {}", upload.contents_sent,
                          CountText(upload.contents, "content"), FormatBytes(upload.bytes_sent),
                          FormatDuration(upload.elapsed));
      if (upload.elapsed > Millis(0))
        line +=
            fmt::format(" ({}/s)", FormatBytes(upload.bytes_sent * 1000 /
                                               static_cast<std::uint64_t>(upload.elapsed.count())));
    }
    console_.Line(line);
    return upload;
  }

  // The answer about the release in its last state.
  Attempt<Json> MakeRelease(const AppName& app) {
    Json files = Json::array();
    for (const LocalFile& file : files_)
      files.push_back({{"path", file.path}, {"size", file.size}, {"sha256", file.sha256.Hex()}});
    Json left_out = Json::array();
    for (const LeftOut& left : left_out_)
      left_out.push_back(left.path);
    Json body = {{"files", std::move(files)},
                 {"allow_downgrade", options_.downgrade == DeployOptions::Downgrade::kAllow},
                 {"left_out", std::move(left_out)},
                 {"goal", GoalName()}};
    if (options_.goal == DeployOptions::Goal::kCanary)
      body["canary_percent"] = options_.canary_percent;
    if (options_.no_rehearsal)
      body["no_rehearsal"] = true;
    Json answer = TRY(api_.Post(AppTarget(app, "/releases"), body));
    const Json& release = ObjectOf(answer, "release");
    if (!FlagOf(release, "under_way") && TextOf(release, "state") == "live") {
      console_.Line("  release   " + manifest_.version + " with these files is live already");
      was_live_ = true;
      return answer;
    }
    return FollowRelease(api_, app, release, 0, console_);
  }

  const char* GoalName() const {
    switch (options_.goal) {
      case DeployOptions::Goal::kLive:
        return "live";
      case DeployOptions::Goal::kCheck:
        return "check";
      case DeployOptions::Goal::kCanary:
        return "canary";
    }
    return "";
  }

  Attempt<void> Report(const AppName& app, const Json& answer, const UploadSummary& upload,
                       Millis elapsed) {
    const Json& release = ObjectOf(answer, "release");
    if (TextOf(release, "state") == "rejected")
      return RejectionOf(release);
    std::string url = TextOf(release, "url");
    if (url.empty())
      url = TextOf(answer, "url");
    Conclude(app, release, url, elapsed);
    if (!console_.json())
      return {};
    Json left_out = Json::array();
    for (const LeftOut& left : left_out_)
      left_out.push_back({{"path", left.path}, {"reason", left.reason}});
    console_.Raw(Dump({{"app", app.ToString()},
                       {"url", url},
                       {"created_app", created_app_},
                       {"elapsed_ms", elapsed.count()},
                       {"contents_sent", upload.contents_sent},
                       {"bytes_sent", upload.bytes_sent},
                       {"left_out", std::move(left_out)},
                       {"release", release}}) +
                 "\n");
    return {};
  }

  void Conclude(const AppName& app, const Json& release, const std::string& url, Millis elapsed) {
    const std::string what = app.ToString() + " " + TextOf(release, "version");
    const std::string state = TextOf(release, "state");
    if (state == "canary")
      console_.Line(
          fmt::format("{} gets {} % of the requests after {}: {}\n"
                      "All of them: cloister promote {} {}    None: cloister rollback {}",
                      what, NumberOf(release, "canary_percent"), FormatDuration(elapsed),
                      console_.Colour(Paint::kBold, url), app.ToString(),
                      TextOf(release, "version"), app.ToString()));
    else if (options_.goal == DeployOptions::Goal::kCheck && state != "live")
      console_.Line(
          fmt::format("{} holds, checked in {}; nothing went live", what, FormatDuration(elapsed)));
    else if (was_live_)
      console_.Line(what + " is live already, as it is: " + console_.Colour(Paint::kBold, url));
    else
      console_.Line(fmt::format("{} is live after {}: {}", what, FormatDuration(elapsed),
                                console_.Colour(Paint::kBold, url)));
  }

  AdminApi& api_;
  Console& console_;
  const DeployOptions& options_;
  SystemClock clock_;
  Manifest manifest_;
  std::vector<LocalFile> files_;
  std::vector<LeftOut> left_out_;
  bool created_app_ = false;
  bool was_live_ = false;  // with these very files
};

}  // namespace

Attempt<void> Deploy(AdminApi& api, Console& console, const DeployOptions& options) {
  return DeployRun(api, console, options).Run();
}

}  // namespace cloister
