#include "apis/backends/s3.h"

#include <curl/curl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "apis/backends/s3_xml.h"
#include "apis/base/check.h"

namespace cloister {
namespace {

constexpr int kAttemptsMax = 3;
constexpr std::chrono::milliseconds kFirstPause{100};
// How long nobody is asked after nobody was answered.
constexpr std::chrono::seconds kAwayFor{2};
// A body that is no object.
constexpr std::uint64_t kTextMax = std::uint64_t{256} << 10;
// What a request takes beyond the address's time: its bytes at this rate a second.
constexpr std::uint64_t kRateMin = std::uint64_t{64} << 10;
// The same of bytes that the server only puts together.
constexpr std::uint64_t kJoinRateMin = std::uint64_t{8} << 20;
constexpr std::uint64_t kPartSize = std::uint64_t{16} << 20;
constexpr std::uint64_t kPartsMax = 10000;
constexpr std::size_t kUploadsMax = 1000;
constexpr std::size_t kUploadIdMax = 2048;

Error Unavailable(std::string what) {
  return Error{ErrorCode::kUnavailable, std::move(what)};
}

bool IsPlain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.' || c == '~';
}

// For a query, as the signature wants it.
std::string PercentEncode(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (IsPlain(c)) {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += '%';
    encoded += kDigits[byte >> 4U];
    encoded += kDigits[byte & 0xfU];
  }
  return encoded;
}

// Else the request is repeated.
bool IsAnswer(long status) {
  constexpr long kTooMany = 429;
  constexpr long kNotImplemented = 501;
  return (status < 500 && status != kTooMany) || status == kNotImplemented;
}

Result<Sha256> HashPart(int file, std::uint64_t offset, std::uint64_t size) {
  Sha256Stream hash;
  std::string piece(std::size_t{1} << 20, '\0');
  while (size > 0) {
    const ssize_t got = ::pread(file, piece.data(), std::min<std::uint64_t>(size, piece.size()),
                                static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return SystemError("reading an object");
    hash.Add(std::string_view(piece).substr(0, static_cast<std::size_t>(got)));
    offset += static_cast<std::uint64_t>(got);
    size -= static_cast<std::uint64_t>(got);
  }
  return hash.Finish();
}

}  // namespace

// libcurl's, with its connection.
class S3Server::Handle {
 public:
  Handle() : curl_(::curl_easy_init()) { CHECK(curl_ != nullptr); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { ::curl_easy_cleanup(curl_); }

  template <typename T>
  void Set(CURLoption option, T value) {
    CHECK(::curl_easy_setopt(curl_, option, value) == CURLE_OK);
  }
  CURL* get() const { return curl_; }

 private:
  CURL* curl_;
};

// One request under way: what libcurl's callbacks work on.
struct S3Server::Transfer {
  S3Server& server;
  const Request& request;
  std::uint64_t body_max = 0;
  Reply reply = {};
  std::uint64_t sent = 0;
  bool broken_file = false;
  std::int64_t moved = 0;
  Clock::time_point moved_at = Clock::now();

  static std::size_t Send(char* buffer, std::size_t one, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    const Request& request = transfer.request;
    const std::size_t most =
        std::min<std::uint64_t>(one * count, request.size - std::min(request.size, transfer.sent));
    if (most == 0)
      return 0;
    if (request.file < 0) {
      std::memcpy(buffer, request.bytes.data() + transfer.sent, most);
      transfer.sent += most;
      return most;
    }
    ssize_t got = 0;
    do
      got = ::pread(request.file, buffer, most, static_cast<off_t>(request.offset + transfer.sent));
    while (got < 0 && errno == EINTR);
    if (got <= 0) {
      transfer.broken_file = true;
      return CURL_READFUNC_ABORT;
    }
    transfer.sent += static_cast<std::uint64_t>(got);
    return static_cast<std::size_t>(got);
  }

  static int Rewind(void* self, curl_off_t offset, int origin) {
    if (origin != SEEK_SET || offset < 0)
      return CURL_SEEKFUNC_FAIL;
    static_cast<Transfer*>(self)->sent = static_cast<std::uint64_t>(offset);
    return CURL_SEEKFUNC_OK;
  }

  static std::size_t Receive(char* bytes, std::size_t one, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    const std::size_t size = one * count;
    if (transfer.reply.body.size() + size > transfer.body_max) {
      transfer.reply.too_long = true;
      return 0;
    }
    transfer.reply.body.append(bytes, size);
    return size;
  }

  // Ends it when nothing has moved for long.
  static int Watch(void* self, curl_off_t /*of*/, curl_off_t received, curl_off_t /*of*/,
                   curl_off_t sent) {
    auto& transfer = *static_cast<Transfer*>(self);
    const Clock::time_point now = Clock::now();
    if (received + sent != std::exchange(transfer.moved, received + sent))
      transfer.moved_at = now;
    if (now - transfer.moved_at > transfer.server.address_.timeout)
      return 1;
    const std::lock_guard lock(transfer.server.mutex_);
    return transfer.server.cancelled_ ? 1 : 0;
  }
};

S3Server::S3Server(S3Address address) : address_(std::move(address)) {
  static const bool kReady = ::curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  CHECK(kReady);
}

S3Server::~S3Server() = default;

void S3Server::Cancel() {
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
  }
  cancel_.notify_all();
}

std::string S3Server::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

std::unique_ptr<S3Server::Handle> S3Server::TakeHandle() {
  const std::lock_guard lock(mutex_);
  if (idle_.empty())
    return std::make_unique<Handle>();
  std::unique_ptr<Handle> handle = std::move(idle_.back());
  idle_.pop_back();
  return handle;
}

void S3Server::GiveHandle(std::unique_ptr<Handle> handle) {
  // Its connection stays.
  ::curl_easy_reset(handle->get());
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(handle));
}

Result<void> S3Server::CheckAway() const {
  const std::lock_guard lock(mutex_);
  if (cancelled_)
    return Unavailable("the node is ending");
  if (Clock::now() < away_until_)
    return Unavailable(trouble_);
  return {};
}

void S3Server::NoteAnswer() {
  const std::lock_guard lock(mutex_);
  answered_ = Clock::now();
  away_until_ = {};
  trouble_.clear();
}

void S3Server::NoteSilence(Clock::time_point begun, const Error& why) {
  const std::lock_guard lock(mutex_);
  if (cancelled_)
    return;
  trouble_ = why.message;
  // A request of its own that is too slow says nothing about others.
  if (!answered_ || *answered_ < begun)
    away_until_ = Clock::now() + kAwayFor;
}

bool S3Server::Pause(int attempt, Clock::time_point begun) {
  const auto pause = kFirstPause * (1 << (2 * attempt));
  if (attempt + 1 >= kAttemptsMax || Clock::now() + pause - begun > address_.timeout)
    return false;
  std::unique_lock lock(mutex_);
  return !cancel_.wait_for(lock, pause, [this] { return cancelled_; });
}

void S3Server::Prepare(Handle& handle, Transfer& transfer) const {
  const Request& request = transfer.request;
  const std::string signer = "aws:amz:" + address_.region + ":s3";
  std::string url = address_.endpoint + "/" + address_.bucket;
  if (!request.key.empty())
    url += "/" + (address_.prefix.empty() ? "" : address_.prefix + "/") + request.key;
  if (!request.query.empty())
    url += "?" + request.query;
  // libcurl copies texts.
  handle.Set(CURLOPT_URL, url.c_str());
  handle.Set(CURLOPT_PROTOCOLS_STR, "http,https");
  handle.Set(CURLOPT_PROXY, "");
  handle.Set(CURLOPT_PATH_AS_IS, 1L);
  handle.Set(CURLOPT_NOSIGNAL, 1L);
  handle.Set(CURLOPT_QUICK_EXIT, 1L);  // a resolver that hangs is not waited for
  handle.Set(CURLOPT_AWS_SIGV4, signer.c_str());
  handle.Set(CURLOPT_USERNAME, address_.access_key.c_str());
  handle.Set(CURLOPT_PASSWORD, address_.secret_key.c_str());
  handle.Set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(address_.timeout.count()));
  const std::uint64_t bytes = request.size + request.count;
  handle.Set(CURLOPT_TIMEOUT_MS, static_cast<long>(address_.timeout.count()) +
                                     static_cast<long>(bytes * 1000 / kRateMin) +
                                     static_cast<long>(request.joined * 1000 / kJoinRateMin));
  if (!address_.ca_file.empty())
    handle.Set(CURLOPT_CAINFO, address_.ca_file.c_str());
  handle.Set(CURLOPT_WRITEFUNCTION, &Transfer::Receive);
  handle.Set(CURLOPT_WRITEDATA, &transfer);
  handle.Set(CURLOPT_NOPROGRESS, 0L);
  handle.Set(CURLOPT_XFERINFOFUNCTION, &Transfer::Watch);
  handle.Set(CURLOPT_XFERINFODATA, &transfer);
}

void S3Server::SetMethod(Handle& handle, Transfer& transfer) {
  const Request& request = transfer.request;
  const std::string range =
      std::to_string(request.offset) + "-" + std::to_string(request.offset + request.count - 1);
  switch (request.method) {
    case Method::kGet:
      if (request.count > 0)
        handle.Set(CURLOPT_RANGE, range.c_str());
      break;
    case Method::kHead:
      handle.Set(CURLOPT_NOBODY, 1L);
      break;
    case Method::kPut:
      handle.Set(CURLOPT_UPLOAD, 1L);
      handle.Set(CURLOPT_EXPECT_100_TIMEOUT_MS, 1L);  // no server is waited for
      handle.Set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.size));
      handle.Set(CURLOPT_READFUNCTION, &Transfer::Send);
      handle.Set(CURLOPT_READDATA, &transfer);
      handle.Set(CURLOPT_SEEKFUNCTION, &Transfer::Rewind);
      handle.Set(CURLOPT_SEEKDATA, &transfer);
      break;
    case Method::kPost:
      handle.Set(CURLOPT_POST, 1L);
      handle.Set(CURLOPT_POSTFIELDS, request.bytes.empty() ? "" : request.bytes.data());
      handle.Set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.bytes.size()));
      break;
    case Method::kDelete:
      handle.Set(CURLOPT_CUSTOMREQUEST, "DELETE");
      break;
  }
}

Result<S3Server::Reply> S3Server::AskOnce(const Request& request) {
  std::unique_ptr<Handle> handle = TakeHandle();
  Transfer transfer{
      .server = *this, .request = request, .body_max = std::max(request.count, kTextMax)};
  Prepare(*handle, transfer);
  SetMethod(*handle, transfer);
  // What stands here is signed, too.
  const std::string hash = "x-amz-content-sha256: " + request.sha256.Hex();
  curl_slist* headers = ::curl_slist_append(nullptr, hash.c_str());
  if (request.method == Method::kPut || request.method == Method::kPost)
    headers = ::curl_slist_append(headers, "Content-Type: application/octet-stream");
  handle->Set(CURLOPT_HTTPHEADER, headers);
  const CURLcode done = ::curl_easy_perform(handle->get());
  ::curl_slist_free_all(headers);
  Reply& reply = transfer.reply;
  ::curl_easy_getinfo(handle->get(), CURLINFO_RESPONSE_CODE, &reply.status);
  curl_off_t length = -1;
  ::curl_easy_getinfo(handle->get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  reply.length = length;
  curl_header* etag = nullptr;
  if (::curl_easy_header(handle->get(), "ETag", 0, CURLH_HEADER, -1, &etag) == CURLHE_OK)
    reply.etag = std::string(etag->value).substr(0, kUploadIdMax);
  GiveHandle(std::move(handle));
  if (transfer.broken_file)
    return Error{ErrorCode::kSystem, "reading an object that is to be sent: its file is cut off"};
  if (done == CURLE_ABORTED_BY_CALLBACK)
    return Unavailable("has said nothing for " + std::to_string(address_.timeout.count()) + " ms");
  if (done != CURLE_OK && !reply.too_long)
    return Unavailable(::curl_easy_strerror(done));
  return std::move(reply);
}

Error S3Server::Refused(const Request& request, const Reply& reply) {
  const std::string code = XmlText(reply.body, "Code");
  if (reply.status == 404 && code == "NoSuchKey" && !request.key.empty())
    return Error{ErrorCode::kNotFound, "the server has no such object"};
  Error error = Unavailable("answered with status " + std::to_string(reply.status) +
                            (code.empty() ? "" : " " + code.substr(0, 80)) + ": " +
                            XmlText(reply.body, "Message").substr(0, 200));
  const std::lock_guard lock(mutex_);
  trouble_ = error.message;
  return error;
}

Result<S3Server::Reply> S3Server::Ask(const Request& request) {
  TRY(CheckAway());
  const Clock::time_point begun = Clock::now();
  for (int attempt = 0;; ++attempt) {
    Result<Reply> reply = AskOnce(request);
    if (!reply.ok() && reply.error().code != ErrorCode::kUnavailable)
      return reply;
    if (reply.ok() && IsAnswer(reply.value().status)) {
      NoteAnswer();
      return reply;
    }
    if (Pause(attempt, begun))
      continue;
    Error error = reply.ok() ? Refused(request, reply.value()) : std::move(reply).error();
    NoteSilence(begun, error);
    return error;
  }
}

Result<std::string> S3Server::Get(const std::string& key, std::uint64_t offset, std::size_t count) {
  const Request request{.key = key, .offset = offset, .sha256 = Sha256Of(""), .count = count};
  Reply reply = TRY(Ask(request));
  const bool whole = reply.status == 200 && offset == 0;
  if (reply.status == 416)
    return Error{ErrorCode::kProtocol, "it is shorter on the server"};
  if (reply.status != 206 && !whole)
    return Refused(request, reply);
  if (reply.too_long || reply.body.size() != count)
    return Error{ErrorCode::kProtocol, "it has another size on the server"};
  return std::move(reply.body);
}

Result<void> S3Server::Put(const std::string& key, const Content& content) {
  return content.size <= kWholeMax ? PutWhole(key, content) : PutParts(key, content);
}

Result<void> S3Server::PutWhole(const std::string& key, const Content& content) {
  const Request request{.method = Method::kPut,
                        .key = key,
                        .file = content.file,
                        .size = content.size,
                        .sha256 = content.sha256};
  const Reply reply = TRY(Ask(request));
  if (reply.status != 200)
    return Refused(request, reply);
  return {};
}

Result<void> S3Server::PutParts(const std::string& key, const Content& content) {
  const Request begin{
      .method = Method::kPost, .key = key, .query = "uploads=", .sha256 = Sha256Of("")};
  const Reply begun = TRY(Ask(begin));
  const std::string upload = XmlText(begun.body, "UploadId");
  if (begun.status != 200 || upload.empty() || upload.size() > kUploadIdMax)
    return Refused(begin, begun);
  Result<std::string> body = SendParts(key, upload, content);
  Result<void> done = body.ok() ? Complete(key, upload, body.value(), content.size)
                                : Result<void>(std::move(body).error());
  // Else it is done when what is left of it is swept.
  if (!done.ok())
    (void)Abort(key, upload).ok();
  return done;
}

Result<std::string> S3Server::SendParts(const std::string& key, const std::string& upload,
                                        const Content& content) {
  const std::uint64_t size = std::max(kPartSize, content.size / (kPartsMax - 1) + 1);
  std::string body = "<CompleteMultipartUpload>";
  for (std::uint64_t offset = 0, number = 1; offset < content.size; offset += size, ++number) {
    Request part{
        .method = Method::kPut,
        .key = key,
        .query = "partNumber=" + std::to_string(number) + "&uploadId=" + PercentEncode(upload),
        .file = content.file,
        .offset = offset,
        .size = std::min(size, content.size - offset)};
    part.sha256 = TRY(HashPart(part.file, part.offset, part.size));
    const Reply reply = TRY(Ask(part));
    if (reply.status != 200 || reply.etag.empty())
      return Refused(part, reply);
    body += "<Part><PartNumber>" + std::to_string(number) + "</PartNumber><ETag>" +
            XmlEncode(reply.etag) + "</ETag></Part>";
  }
  return body + "</CompleteMultipartUpload>";
}

Result<void> S3Server::Complete(const std::string& key, const std::string& upload,
                                const std::string& body, std::uint64_t size) {
  const Request complete{.method = Method::kPost,
                         .key = key,
                         .query = "uploadId=" + PercentEncode(upload),
                         .bytes = body,
                         .sha256 = Sha256Of(body),
                         .joined = size};
  const Reply completed = TRY(Ask(complete));
  // A status of 200 may be followed by an error. What was completed by a request whose answer was
  // lost is not there to be completed any more: whether the object is, decides.
  const Request head{.method = Method::kHead, .key = key, .sha256 = Sha256Of("")};
  const Reply found = TRY(Ask(head));
  if (found.status != 200 || found.length < 0 || static_cast<std::uint64_t>(found.length) != size)
    return Refused(complete, completed);
  return {};
}

Result<void> S3Server::Abort(const std::string& key, const std::string& upload) {
  const Request request{.method = Method::kDelete,
                        .key = key,
                        .query = "uploadId=" + PercentEncode(upload),
                        .sha256 = Sha256Of("")};
  const Reply reply = TRY(Ask(request));
  if (reply.status != 204 && reply.status != 200 && reply.status != 404)
    return Refused(request, reply);
  return {};
}

Result<void> S3Server::AbortAll(const std::string& key) {
  const std::string whole = (address_.prefix.empty() ? "" : address_.prefix + "/") + key;
  const Request list{.query = "prefix=" + PercentEncode(whole) + "&uploads=",
                     .sha256 = Sha256Of("")};
  const Reply reply = TRY(Ask(list));
  // A server that cannot list them.
  if (reply.status != 200 && reply.status != 403 && reply.status != 404)
    return {};
  if (reply.status != 200)
    return Refused(list, reply);
  for (const std::string_view upload : XmlElements(reply.body, "Upload", kUploadsMax))
    if (XmlText(upload, "Key") == whole)
      TRY(Abort(key, XmlText(upload, "UploadId")));
  return {};
}

Result<void> S3Server::Remove(const std::string& key, Unfinished unfinished) {
  if (unfinished == Unfinished::kMaybe)
    TRY(AbortAll(key));
  const Request request{.method = Method::kDelete, .key = key, .sha256 = Sha256Of("")};
  const Reply reply = TRY(Ask(request));
  const bool gone = reply.status == 204 || reply.status == 200 ||
                    (reply.status == 404 && XmlText(reply.body, "Code") == "NoSuchKey");
  if (!gone)
    return Refused(request, reply);
  return {};
}

}  // namespace cloister
