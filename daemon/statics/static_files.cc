#include "daemon/statics/static_files.h"

#include <algorithm>
#include <optional>
#include <ranges>
#include <utility>

#include "apis/base/log.h"
#include "daemon/http/conditions.h"
#include "daemon/http/http_date.h"
#include "daemon/http/text.h"
#include "daemon/statics/content_coding.h"
#include "daemon/statics/media_types.h"

namespace cloister {
namespace {

// What is written at once. With a head it is what every connection may have in memory without a
// budget.
constexpr std::size_t kSmall = std::size_t{60} * 1024;
constexpr std::size_t kImagesMin = 2;
constexpr Millis kRetryAfter{1000};

int HexValue(char c) {
  if (IsDigit(c))
    return c - '0';
  return ToLower(c) - 'a' + 10;
}

// The parser has checked that each '%' begins an escape.
std::string DecodePath(std::string_view path) {
  std::string decoded;
  decoded.reserve(path.size());
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%' || i + 2 >= path.size()) {
      decoded += path[i];
      continue;
    }
    decoded += static_cast<char>(HexValue(path[i + 1]) * 16 + HexValue(path[i + 2]));
    i += 2;
  }
  return decoded;
}

// The file of the bundle that `path` means. An image has no '.', '..' or empty part in any path:
// what has one in it is found nowhere.
std::string FileOf(const StaticRoute& route, std::string_view path) {
  std::string file = route.target;
  if (!route.is_folder())
    return file;
  file += path.substr(route.path.size());
  if (path.ends_with('/'))
    file += "index.html";
  return file;
}

std::optional<StaticForm> ChooseForm(const StaticImage& image, const std::string& path,
                                     const HttpRequest& request) {
  const std::optional<StaticFile> plain = image.Find(path);
  if (!plain)
    return std::nullopt;
  StaticForm chosen{.file = *plain};
  const AcceptedCodings accepted = AcceptedCodings::Of(request.headers);
  int best = accepted.identity();
  for (const ContentCoding& coding : kContentCodings) {
    const std::optional<StaticFile> file = image.Find(path + std::string(coding.suffix));
    if (!file)
      continue;
    chosen.varies = true;
    const int quality = accepted.QualityOf(coding.name);
    const bool as_good_as_plain = chosen.coding == nullptr && quality == best;
    if (quality == 0 || (quality <= best && !as_good_as_plain))
      continue;
    best = quality;
    chosen.file = *file;
    chosen.coding = &coding;
  }
  return chosen;
}

// Each form has another tag, even where two happen to have the same bytes.
std::string TagOf(const StaticForm& form) {
  std::string tag = "\"" + form.file.sha256.Hex();
  if (form.coding != nullptr)
    (tag += '-') += form.coding->name;
  return tag + "\"";
}

std::string CacheControlOf(Seconds cache) {
  return cache == Seconds(0) ? "no-cache" : "public, max-age=" + std::to_string(cache.count());
}

// The texts that the headers of one answer are views of.
struct Texts {
  std::string tag;
  std::string modified;
  std::string cache;
};

// Those of every answer about a file that is there.
std::vector<HttpHeader> ValidatorHeaders(const Texts& texts, const StaticForm& form) {
  std::vector<HttpHeader> headers = {{.name = "ETag", .value = texts.tag},
                                     {.name = "Last-Modified", .value = texts.modified},
                                     {.name = "Cache-Control", .value = texts.cache},
                                     {.name = "X-Content-Type-Options", .value = "nosniff"}};
  if (form.varies)
    headers.push_back({.name = "Vary", .value = "Accept-Encoding"});
  return headers;
}

void RespondUnavailable(Exchange& exchange) {
  RespondProblem(exchange, 503, "static_unavailable", "The node cannot read the file now.",
                 std::chrono::duration_cast<Seconds>(kRetryAfter));
}

}  // namespace

// --- One file on its way

class StaticFiles::Transfer final : public ExchangeListener {
 public:
  Transfer(StaticFiles& owner, Exchange& exchange, std::shared_ptr<const StaticImage> image,
           std::string_view rest)
      : owner_(owner),
        number_(++owner.last_transfer_),
        exchange_(exchange),
        image_(std::move(image)),
        rest_(rest) {}

  std::uint64_t number() const { return number_; }
  const StaticImage& image() const { return *image_; }

  // May be the end of this.
  void Go() {
    while (!rest_.empty())
      if (!exchange_.WriteNow(rest_) && !rest_.empty())
        return;
    exchange_.Finish();
    owner_.EndTransfer(number_);
  }
  // The client has to ask again.
  void Abort() {
    exchange_.SetListener(nullptr);
    exchange_.Abort();
  }
  void OnClientGone() override { owner_.EndTransfer(number_); }
  void OnWritable() override { Go(); }

 private:
  StaticFiles& owner_;
  std::uint64_t number_;
  Exchange& exchange_;
  std::shared_ptr<const StaticImage> image_;  // holds the bytes
  std::string_view rest_;
};

struct StaticFiles::Waiting final : ExchangeListener {
  Waiting(std::list<Waiting>& the_list, Exchange& the_exchange,
          std::function<void(Exchange&)> the_continuation)
      : list(the_list), exchange(the_exchange), again(std::move(the_continuation)) {}

  void OnClientGone() override {
    list.remove_if([this](const Waiting& other) { return &other == this; });
  }
  void OnWritable() override {}

  std::list<Waiting>& list;
  Exchange& exchange;
  std::function<void(Exchange&)> again;
};

// --- Answers

StaticFiles::StaticFiles(Loop& loop, StaticSource& source, const Options& options)
    : loop_(loop),
      source_(source),
      options_(options),
      self_(std::make_shared<StaticFiles*>(this)) {}

StaticFiles::~StaticFiles() {
  *self_ = nullptr;
}

StaticFiles::Found StaticFiles::Answer(const StaticSite& site, Exchange& exchange) {
  const HttpRequest& request = exchange.request();
  const std::string path = DecodePath(request.path());
  const StaticRoute* const route = FindStatic(site.routes, path);
  if (route == nullptr)
    return Found::kNoFile;
  std::shared_ptr<const StaticImage> image = Find(site.release);
  if (image == nullptr)
    return Found::kNotLoaded;
  const std::string file = FileOf(*route, path);
  const std::optional<StaticForm> form = ChooseForm(*image, file, request);
  if (!form)
    return Found::kNoFile;
  exchange.notes().app = site.app.ToString();
  exchange.notes().release = site.version;
  if (request.method == "GET" || request.method == "HEAD")
    RespondFile({.file = file, .form = *form, .image = image, .cache = route->cache}, exchange);
  else
    RespondProblem(exchange, 405, "static_method", "This is a file: it can only be read.",
                   {.name = "Allow", .value = "GET, HEAD"});
  return Found::kAnswered;
}

void StaticFiles::RespondFile(const Hit& hit, Exchange& exchange) {
  const std::int64_t modified = hit.image->time_seconds();
  const Texts texts{
      .tag = TagOf(hit.form), .modified = HttpDate(modified), .cache = CacheControlOf(hit.cache)};
  const Validators validators{.etag = texts.tag, .modified = modified};
  std::vector<HttpHeader> headers = ValidatorHeaders(texts, hit.form);
  switch (CheckConditions(exchange.request(), validators)) {
    case Condition::kFailed:
      return RespondProblem(exchange, 412, "precondition_failed",
                            "The file is another one than the request wants.", headers.front());
    case Condition::kNotModified:
      exchange.Begin(304, {}, headers, std::nullopt);
      (void)exchange.Finish();
      return;
    case Condition::kServe:
      headers.push_back({.name = "Content-Type", .value = MediaTypeOf(hit.file)});
      headers.push_back({.name = "Accept-Ranges", .value = "bytes"});
      if (hit.form.coding != nullptr)
        headers.push_back({.name = "Content-Encoding", .value = hit.form.coding->name});
      return RespondPart(hit, validators, std::move(headers), exchange);
  }
}

void StaticFiles::RespondPart(const Hit& hit, const Validators& validators,
                              std::vector<HttpHeader> headers, Exchange& exchange) {
  const std::string_view contents = hit.form.file.contents;
  const FilePart part = ChoosePart(exchange.request(), validators, contents.size());
  const std::string range = ContentRange(part, contents.size());
  const HttpHeader range_header = {.name = "Content-Range", .value = range};
  switch (part.kind) {
    case FilePart::Kind::kUnsatisfiable:
      return RespondProblem(exchange, 416, "range_not_satisfiable", "The file has no such range.",
                            range_header);
    case FilePart::Kind::kRange:
      headers.push_back(range_header);
      exchange.Begin(206, {}, headers, part.size);
      return Send(exchange, hit.image, contents.substr(part.first, part.size));
    case FilePart::Kind::kWhole:
      exchange.Begin(200, {}, headers, contents.size());
      // Of a HEAD nothing more is sent: not a byte of the file needs to be read.
      return Send(exchange, hit.image, exchange.request().method == "HEAD" ? "" : contents);
  }
}

void StaticFiles::Send(Exchange& exchange, std::shared_ptr<const StaticImage> image,
                       std::string_view bytes) {
  if (bytes.size() <= kSmall) {
    (void)exchange.Write(bytes);
    (void)exchange.Finish();
    return;
  }
  auto made = std::make_unique<Transfer>(*this, exchange, std::move(image), bytes);
  Transfer& transfer = *made;
  transfers_.emplace(transfer.number(), std::move(made));
  exchange.SetListener(&transfer);
  transfer.Go();
}

void StaticFiles::EndTransfer(std::uint64_t number) {
  transfers_.erase(number);
}

// --- Images

void StaticFiles::Load(ReleaseId release, Exchange& exchange,
                       std::function<void(Exchange&)> again) {
  if (HasFailed(release))
    return RespondUnavailable(exchange);
  const auto [load, first] = loads_.try_emplace(release);
  std::list<Waiting>& waiting = load->second;
  waiting.emplace_back(waiting, exchange, std::move(again));
  exchange.SetListener(&waiting.back());
  if (!first)
    return;
  source_.LoadStatics(release,
                      [self = self_, release](Result<std::shared_ptr<const StaticImage>> loaded) {
                        if (*self != nullptr)
                          (*self)->OnLoaded(release, std::move(loaded));
                      });
}

void StaticFiles::OnLoaded(ReleaseId release, Result<std::shared_ptr<const StaticImage>> loaded) {
  // Other loads may begin below, so no iterator is kept.
  std::list<Waiting>& waiting = loads_.find(release)->second;
  const bool is_there = loaded.ok();
  if (is_there)
    Keep(release, std::move(loaded).value());
  else
    NoteFailure(release, loaded.error());
  while (!waiting.empty()) {
    Exchange& exchange = waiting.front().exchange;
    const std::function<void(Exchange&)> again = std::move(waiting.front().again);
    exchange.SetListener(nullptr);
    waiting.pop_front();
    if (is_there)
      again(exchange);
    else
      RespondUnavailable(exchange);
  }
  loads_.erase(release);
}

void StaticFiles::NoteFailure(ReleaseId release, const Error& error) {
  Log(LogLevel::kError, "image_not_loaded",
      {{"release", release.number}, {"error", error.message}});
  std::erase_if(failed_, [now = loop_.Now()](const auto& entry) { return entry.second <= now; });
  failed_[release] = loop_.Now() + kRetryAfter;
}

bool StaticFiles::HasFailed(ReleaseId release) const {
  const auto found = failed_.find(release);
  return found != failed_.end() && loop_.Now() < found->second;
}

std::shared_ptr<const StaticImage> StaticFiles::Find(ReleaseId release) {
  const auto found = by_release_.find(release);
  if (found == by_release_.end())
    return nullptr;
  kept_.splice(kept_.begin(), kept_, found->second);
  return found->second->image;
}

void StaticFiles::Keep(ReleaseId release, std::shared_ptr<const StaticImage> image) {
  Drop(release);
  kept_bytes_ += image->size();
  kept_.push_front({.release = release, .image = std::move(image)});
  by_release_[release] = kept_.begin();
  // Two stay in any case: a live release and its canary must not push each other out for ever.
  while (kept_.size() > kImagesMin &&
         (kept_bytes_ > options_.budget.count || kept_.size() > options_.images_max))
    Drop(kept_.back().release);
  EndExcess();
}

void StaticFiles::Forget(ReleaseId release) {
  Drop(release);
  EndExcess();
}

bool StaticFiles::IsKept(const StaticImage& image) const {
  return std::ranges::any_of(kept_,
                             [&image](const Kept& kept) { return kept.image.get() == &image; });
}

void StaticFiles::EndExcess() {
  std::unordered_map<const StaticImage*, bool> stays;
  std::uint64_t held = 0;
  std::vector<std::uint64_t> excess;
  // The newest first: who began long ago has had the most time.
  for (const auto& [number, transfer] : std::views::reverse(transfers_)) {
    const StaticImage& image = transfer->image();
    const auto [found, is_new] = stays.try_emplace(&image, true);
    if (is_new && !IsKept(image)) {
      found->second = held + image.size() <= options_.budget.count;
      held += found->second ? image.size() : 0;
    }
    if (!found->second)
      excess.push_back(number);
  }
  for (const std::uint64_t number : excess) {
    const auto ended = transfers_.extract(number);
    ended.mapped()->Abort();
  }
  if (!excess.empty())
    Log(LogLevel::kWarning, "static_transfers_ended", {{"count", excess.size()}});
}

void StaticFiles::Drop(ReleaseId release) {
  const auto found = by_release_.find(release);
  if (found == by_release_.end())
    return;
  kept_bytes_ -= found->second->image->size();
  kept_.erase(found->second);
  by_release_.erase(found);
}

}  // namespace cloister
