#include "daemon/objects/object_responses.h"

#include <algorithm>
#include <array>
#include <utility>

#include "daemon/http/text.h"

namespace cloister {
namespace {

constexpr std::uint32_t kPieceMax = kObjectPieceMax;
// Beyond the budget. With a head it is what every connection may have in memory.
constexpr std::uint32_t kSmallPiece = 60 * 1024;
constexpr std::uint8_t kErrorLevel = 40;  // logging.ERROR
// What the node says itself of an object.
constexpr std::array<std::string_view, 5> kOwnHeaders = {kObjectHeader, "content-length", "etag",
                                                         "accept-ranges", "content-range"};

bool IsOwn(std::string_view name) {
  return std::ranges::any_of(kOwnHeaders,
                             [name](std::string_view own) { return EqualsIgnoreCase(name, own); });
}

Error Misuse(std::string what) {
  return Error{ErrorCode::kInvalidArgument, std::move(what)};
}

}  // namespace

Result<std::optional<ObjectAnswer>> ObjectAnswer::Of(int status, std::string_view reason,
                                                     std::span<const HttpHeader> headers) {
  const auto named = std::ranges::find_if(headers, [](const HttpHeader& header) {
    return EqualsIgnoreCase(header.name, kObjectHeader);
  });
  if (named == headers.end())
    return std::optional<ObjectAnswer>();
  const std::optional<Sha256> id = Sha256::FromHex(named->value);
  if (!id)
    return Misuse("its Cloister-Object is not the id of an object: 64 hexadecimal digits");
  // No body, or a part of one that only the node can choose.
  if (status == 204 || status == 205 || status == 206 || status == 304)
    return Misuse("a response of status " + std::to_string(status) +
                  " cannot be an object: answer 200, the node does the rest");
  ObjectAnswer answer{.id = *id, .status = status, .reason = std::string(reason), .headers = {}};
  for (const HttpHeader& header : headers)
    if (!IsOwn(header.name))
      answer.headers.emplace_back(header.name, header.value);
  return std::optional<ObjectAnswer>(std::move(answer));
}

// --- One object on its way

class ObjectResponses::Transfer final : public ExchangeListener {
 public:
  Transfer(ObjectResponses& responses, Exchange& exchange, ObjectOwner the_owner,
           ObjectAnswer the_answer)
      : number(++responses.last_transfer_),
        owner(std::move(the_owner)),
        answer(std::move(the_answer)),
        request_id(exchange.request().request_id),
        responses_(responses),
        exchange_(exchange),
        etag_("\"" + answer.id.Hex() + "\"") {}
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
  ~Transfer() override {
    responses_.GivePiece(owner.app, piece_.taken);
    responses_.GivePiece(owner.app, next_.taken);
  }

  // Each of these may be the end of this.
  void Start();
  void OnRead(Result<ObjectPiece> read, std::uint32_t taken);
  void OnClientGone() override { responses_.End(number); }
  void OnWritable() override { Go(); }

  const std::uint64_t number;
  const ObjectOwner owner;
  const ObjectAnswer answer;
  const std::string request_id;

 private:
  struct Piece {
    std::string bytes;
    std::uint32_t taken = 0;  // of the budget
  };

  // Whether the request and the answer are such that conditions and ranges have a meaning.
  bool IsPlain() const {
    const std::string_view method = exchange_.request().method;
    return answer.status == 200 && (method == "GET" || method == "HEAD");
  }
  std::vector<HttpHeader> Headers() const;
  void RespondBroken(int status, std::string_view code, std::string_view detail,
                     std::string complaint);
  void RespondNotModified();
  void Begin(std::uint64_t size);
  void Read();
  void Go();
  void Abort();

  ObjectResponses& responses_;
  Exchange& exchange_;
  const std::string etag_;
  bool begun_ = false;
  bool reading_ = false;
  std::uint64_t at_ = 0;   // read so far
  std::uint64_t end_ = 0;  // once it has begun
  Piece piece_;
  std::string_view rest_;  // of piece_
  bool has_next_ = false;
  Piece next_;
};

std::vector<HttpHeader> ObjectResponses::Transfer::Headers() const {
  std::vector<HttpHeader> headers;
  headers.reserve(answer.headers.size() + 4);
  bool typed = false;
  for (const auto& [name, value] : answer.headers) {
    typed = typed || EqualsIgnoreCase(name, "content-type");
    headers.push_back({.name = name, .value = value});
  }
  if (!typed)
    headers.push_back({.name = "Content-Type", .value = "application/octet-stream"});
  if (answer.status == 200) {
    headers.push_back({.name = "ETag", .value = etag_});
    headers.push_back({.name = "Accept-Ranges", .value = "bytes"});
  }
  return headers;
}

void ObjectResponses::Transfer::Start() {
  if (IsPlain()) {
    const Validators validators{.etag = etag_, .modified = 0};
    switch (CheckConditions(exchange_.request(), validators)) {
      case Condition::kFailed:
        RespondProblem(exchange_, 412, "precondition_failed",
                       "The object is another one than the request wants.",
                       HttpHeader{.name = "ETag", .value = etag_});
        return responses_.End(number);
      case Condition::kNotModified:
        return RespondNotModified();
      case Condition::kServe:
        break;
    }
  }
  exchange_.SetListener(this);
  Read();
}

void ObjectResponses::Transfer::RespondNotModified() {
  std::vector<HttpHeader> headers = Headers();
  std::erase_if(headers, [](const HttpHeader& header) {
    return EqualsIgnoreCase(header.name, "content-type") ||
           EqualsIgnoreCase(header.name, "content-encoding");
  });
  exchange_.Begin(304, {}, headers, std::nullopt);
  (void)exchange_.Finish();
  responses_.End(number);
}

void ObjectResponses::Transfer::Read() {
  reading_ = true;
  if (begun_)
    return responses_.Read(*this, at_, end_ - at_);
  // Where it begins depends on its size: that is asked first where it matters.
  const HttpRequest& request = exchange_.request();
  const bool size_first =
      request.method == "HEAD" || (IsPlain() && !request.Header("range").empty());
  responses_.Read(*this, 0, size_first ? 0 : kPieceMax);
}

void ObjectResponses::Transfer::RespondBroken(int status, std::string_view code,
                                              std::string_view detail, std::string complaint) {
  responses_.Say(owner, request_id, std::move(complaint));
  if (begun_)
    return Abort();
  exchange_.SetListener(nullptr);
  RespondProblem(exchange_, status, code, detail);
  responses_.End(number);
}

void ObjectResponses::Transfer::Abort() {
  exchange_.SetListener(nullptr);
  exchange_.Abort();
  responses_.End(number);
}

void ObjectResponses::Transfer::OnRead(Result<ObjectPiece> read, std::uint32_t taken) {
  reading_ = false;
  Piece piece{.bytes = {}, .taken = taken};
  if (!read.ok()) {
    responses_.GivePiece(owner.app, taken);
    return RespondBroken(
        503, "object_unavailable", "The node cannot read the object now.",
        "The object " + answer.id.Hex() + " could not be sent: " + "the node cannot read it now.");
  }
  ObjectPiece& object = read.value();
  const bool cut = begun_ && object.data.empty();
  if (object.state == ObjectPiece::State::kDamaged) {
    responses_.GivePiece(owner.app, taken);
    return RespondBroken(500, "object_damaged", "The object is damaged on the node's disk.",
                         "The object " + answer.id.Hex() + " could not be sent: it is damaged on " +
                             "the node's disk. The node's operator has to restore it from a " +
                             "backup.");
  }
  if (object.state == ObjectPiece::State::kMissing || cut) {
    responses_.GivePiece(owner.app, taken);
    return RespondBroken(404, "object_not_found", "There is no such object.",
                         "The response names the object " + answer.id.Hex() +
                             ", which is not there" +
                             (begun_ ? " any more: its client got a part of it." : "."));
  }
  piece.bytes = std::move(object.data);
  at_ += piece.bytes.size();
  next_ = std::move(piece);
  has_next_ = true;
  if (!begun_)
    return Begin(object.size);
  Go();
}

void ObjectResponses::Transfer::Begin(std::uint64_t size) {
  const HttpRequest& request = exchange_.request();
  const FilePart part =
      IsPlain() ? ChoosePart(request, {.etag = etag_, .modified = 0}, size) : FilePart();
  const std::string range = ContentRange(part, size);
  const HttpHeader range_header{.name = "Content-Range", .value = range};
  begun_ = true;
  switch (part.kind) {
    case FilePart::Kind::kUnsatisfiable:
      exchange_.SetListener(nullptr);
      RespondProblem(exchange_, 416, "range_not_satisfiable", "The object has no such range.",
                     range_header);
      return responses_.End(number);
    case FilePart::Kind::kRange: {
      std::vector<HttpHeader> headers = Headers();
      headers.push_back(range_header);
      exchange_.Begin(206, {}, headers, part.size);
      at_ = part.first;
      end_ = part.first + part.size;
      break;
    }
    case FilePart::Kind::kWhole:
      exchange_.Begin(answer.status, answer.reason, Headers(), size);
      end_ = request.method == "HEAD" ? at_ : size;
      break;
  }
  Go();
}

void ObjectResponses::Transfer::Go() {
  while (true) {
    if (!rest_.empty() && !exchange_.WriteNow(rest_) && !rest_.empty())
      return;
    if (!rest_.empty())
      continue;
    responses_.GivePiece(owner.app, std::exchange(piece_, {}).taken);
    if (!has_next_ && at_ == end_) {
      exchange_.SetListener(nullptr);
      (void)exchange_.Finish();
      return responses_.End(number);
    }
    if (!has_next_) {
      if (!reading_)
        Read();
      return;
    }
    piece_ = std::exchange(next_, {});
    has_next_ = false;
    rest_ = piece_.bytes;
    // While this piece is on its way the next one comes.
    if (at_ < end_ && piece_.taken > 0)
      Read();
  }
}

// --- All of them

ObjectResponses::ObjectResponses(const Parts& parts, const Options& options)
    : parts_(parts), options_(options), self_(std::make_shared<ObjectResponses*>(this)) {}

ObjectResponses::~ObjectResponses() {
  *self_ = nullptr;
  transfers_.clear();
}

void ObjectResponses::Respond(Exchange& exchange, ObjectOwner owner, ObjectAnswer answer) {
  auto made = std::make_unique<Transfer>(*this, exchange, std::move(owner), std::move(answer));
  Transfer& transfer = *made;
  transfers_.emplace(transfer.number, std::move(made));
  transfer.Start();
}

std::uint32_t ObjectResponses::TakePiece(AppId app) {
  std::uint64_t& taken_by_app = taken_by_[app];
  if (taken_ + kPieceMax > options_.budget.count ||
      taken_by_app + kPieceMax > options_.app_budget.count)
    return 0;
  taken_ += kPieceMax;
  taken_by_app += kPieceMax;
  return kPieceMax;
}

void ObjectResponses::GivePiece(AppId app, std::uint32_t size) {
  if (size == 0)
    return;
  taken_ -= size;
  if (const auto found = taken_by_.find(app); (found->second -= size) == 0)
    taken_by_.erase(found);
}

void ObjectResponses::Read(const Transfer& transfer, std::uint64_t offset, std::uint64_t wanted) {
  const AppId app = transfer.owner.app;
  const std::uint32_t taken = wanted == 0 ? 0 : TakePiece(app);
  const std::uint64_t count = std::min<std::uint64_t>(wanted, taken > 0 ? taken : kSmallPiece);
  parts_.objects.ReadPiece(
      {.app = app,
       .overlay = transfer.owner.overlay,
       .id = transfer.answer.id,
       .offset = offset,
       .count = static_cast<std::uint32_t>(count)},
      [self = self_, number = transfer.number, app, taken](Result<ObjectPiece> piece) {
        if (*self == nullptr)
          return;
        const auto found = (*self)->transfers_.find(number);
        if (found == (*self)->transfers_.end())
          return (*self)->GivePiece(app, taken);
        found->second->OnRead(std::move(piece), taken);
      });
}

void ObjectResponses::End(std::uint64_t number) {
  transfers_.erase(number);
}

void ObjectResponses::Say(const ObjectOwner& owner, std::string_view request_id, std::string text) {
  LogEvent event;
  event.time = parts_.clock.Wall();
  event.app = owner.app;
  event.app_name = owner.app_name;
  event.release = owner.version;
  event.request_id = request_id;
  event.check = owner.overlay != 0;
  event.source = LogSource::kRuntime;
  event.by_node = true;
  event.level = kErrorLevel;
  event.bytes = std::move(text);
  parts_.logs.Append(std::move(event));
}

}  // namespace cloister
