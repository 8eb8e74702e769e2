#include "daemon/cli/upload.h"

#include <algorithm>
#include <thread>
#include <unordered_map>

#include <nlohmann/json.hpp>

namespace cloister {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kBatchMax = std::uint64_t{8} * 1024 * 1024;
constexpr std::size_t kNamesAtOnce = 4000;
constexpr int kTries = 5;
constexpr Millis kFirstPause{200};

using Contents = std::unordered_map<Sha256, const LocalFile*>;

// One upload from the first question to the last batch.
class Upload {
 public:
  Upload(AdminApi& api, const std::string& tenant, Console& console)
      : api_(api), target_(TenantTarget(tenant, "/contents")), console_(console) {}

  Attempt<UploadSummary> Run(const std::vector<LocalFile>& files) {
    const MonotonicTime started = clock_.Now();
    for (const LocalFile& file : files)
      contents_.try_emplace(file.sha256, &file);
    summary_.contents = contents_.size();
    Millis pause = kFirstPause;
    for (int tries = 1;; ++tries) {
      Attempt<void> sent = SendMissing();
      if (sent.ok())
        break;
      const Failure& failure = sent.error();
      // A node that is replaced meanwhile says so; the next one stores it.
      const bool replaced = failure.code == "unavailable";
      if ((!IsBrokenConnection(failure) && !replaced) || tries == kTries)
        return std::move(sent).error();
      console_.Note((replaced ? failure.what : "the connection broke (" + failure.what + ")") +
                    ": trying again");
      std::this_thread::sleep_for(pause);
      pause *= 2;
    }
    summary_.elapsed = std::chrono::duration_cast<Millis>(clock_.Now() - started);
    return summary_;
  }

 private:
  Attempt<void> SendMissing() {
    const std::vector<const LocalFile*> missing = TRY(AskMissing());
    std::uint64_t total = 0;
    for (const LocalFile* file : missing)
      total += file->size;
    Progress progress(console_, clock_, "uploading", total);
    std::uint64_t done = 0;
    for (std::size_t next = 0; next < missing.size();) {
      const std::size_t end = BatchEnd(missing, next);
      done += TRY(SendBatch(missing, next, end, done, progress));
      next = end;
    }
    return {};
  }

  // The index after the last file that fits into one batch with the file at `begin`.
  static std::size_t BatchEnd(const std::vector<const LocalFile*>& files, std::size_t begin) {
    std::uint64_t size = files[begin]->size;
    std::size_t end = begin + 1;
    while (end < files.size() && size + files[end]->size <= kBatchMax)
      size += files[end++]->size;
    return end;
  }

  Attempt<std::uint64_t> SendBatch(const std::vector<const LocalFile*>& files, std::size_t begin,
                                   std::size_t end, std::uint64_t done, Progress& progress) {
    std::string batch;
    std::uint64_t bytes = 0;
    for (std::size_t i = begin; i < end; ++i)
      bytes += TRY(AppendFile(*files[i], batch));
    const auto on_sent = [&progress, done, bytes](std::uint64_t sent) {
      progress.Set(done + std::min(sent, bytes));
    };
    TRY(api_.PostBytes(target_, batch, on_sent));
    summary_.contents_sent += end - begin;
    summary_.bytes_sent += bytes;
    return bytes;
  }

  static Attempt<std::uint64_t> AppendFile(const LocalFile& file, std::string& batch) {
    Result<std::string> bytes = ReadWholeFile(file.source, kBundleFileMax.count);
    if (!bytes.ok())
      return FailureOf(std::move(bytes).error(), "file_unreadable");
    if (Sha256Of(bytes.value()) != file.sha256)
      return Failure{ExitCode::kFailed, "file_changed",
                     ShowPath(file.path) + " changed while it was sent", "", "deploy again"};
    AppendContent(batch, file.sha256, bytes.value());
    return bytes.value().size();
  }

  Attempt<std::vector<const LocalFile*>> AskMissing() {
    std::vector<const LocalFile*> missing;
    Json names = Json::array();
    for (const auto& [sha256, file] : contents_) {
      names.push_back({{"sha256", sha256.Hex()}, {"size", file->size}});
      if (names.size() < kNamesAtOnce)
        continue;
      TRY(AskOnce(names, missing));
      names = Json::array();
    }
    if (!names.empty())
      TRY(AskOnce(names, missing));
    // In the order of the paths, as a person expects it to go.
    std::sort(missing.begin(), missing.end(),
              [](const LocalFile* a, const LocalFile* b) { return a->path < b->path; });
    return missing;
  }

  Attempt<void> AskOnce(const Json& names, std::vector<const LocalFile*>& missing) {
    const Json answer = TRY(api_.Ask(target_ + "/missing", {{"files", names}}));
    for (const Json& name : ListOf(answer, "missing")) {
      const auto sha256 = Sha256::FromHex(name.is_string() ? name.get<std::string>() : "");
      const auto found = sha256 ? contents_.find(*sha256) : contents_.end();
      if (found == contents_.end())
        return Failure{ExitCode::kFailed, "bad_answer",
                       "the node asks for a content that was not offered", "", ""};
      missing.push_back(found->second);
    }
    return {};
  }

  AdminApi& api_;
  std::string target_;
  Console& console_;
  SystemClock clock_;
  Contents contents_;
  UploadSummary summary_;
};

}  // namespace

void AppendContent(std::string& batch, const Sha256& sha256, std::string_view bytes) {
  batch += sha256.view();
  for (unsigned shift = 0; shift < 64; shift += 8)
    batch += static_cast<char>(static_cast<unsigned char>(bytes.size() >> shift));
  batch += bytes;
}

Attempt<UploadSummary> UploadContents(AdminApi& api, const std::string& tenant,
                                      const std::vector<LocalFile>& files, Console& console) {
  return Upload(api, tenant, console).Run(files);
}

}  // namespace cloister
