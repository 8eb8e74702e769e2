#pragma once

// Objects on a server that speaks S3: requests signed with version 4 of AWS's signature, by
// libcurl. Addresses are of the form ENDPOINT/BUCKET/PREFIX/KEY.
//
// A request that the server did not answer, or answered with 5xx, is repeated within the time of
// the address; but for 501, what it cannot do. When it has answered nobody meanwhile, further ones
// fail at once for some seconds. What is larger than kWholeMax is sent in parts, of which one is
// under way at a time. Thread-safe, blocking; a connection for each thread that asks is kept.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apis/backends/object_server.h"
#include "apis/backends/s3_address.h"

namespace cloister {

class S3Server : public ObjectServer {
 public:
  // What is put by one request.
  static constexpr std::uint64_t kWholeMax = std::uint64_t{32} << 20;

  // Keys have the characters A-Z a-z 0-9 - _ . / only, and so have bucket and prefix.
  explicit S3Server(S3Address address);
  S3Server(const S3Server&) = delete;
  S3Server& operator=(const S3Server&) = delete;
  ~S3Server() override;

  Result<void> Put(const std::string& key, const Content& content) override;
  Result<std::string> Get(const std::string& key, std::uint64_t offset, std::size_t count) override;
  Result<void> Remove(const std::string& key, Unfinished unfinished) override;
  void Cancel() override;
  Result<void> CheckAway() const override;
  std::string trouble() const override;

 private:
  using Clock = std::chrono::steady_clock;
  enum class Method { kGet, kHead, kPut, kPost, kDelete };

  struct Request {
    Method method = Method::kGet;
    std::string key = {};    // empty: of the bucket
    std::string query = {};  // in order, encoded
    // What is sent: a part of a file, or bytes.
    int file = -1;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    std::string_view bytes = {};
    Sha256 sha256 = {};  // of it
    // Of GET: how many bytes from `offset` on.
    std::uint64_t count = 0;
    // What the server puts together before it answers.
    std::uint64_t joined = 0;
  };

  struct Reply {
    long status = 0;
    std::string body;
    std::string etag;
    std::int64_t length = -1;  // what Content-Length says
    bool too_long = false;     // more came than there may be: broken off
  };

  class Handle;
  struct Transfer;

  // Repeated as above. A reply may have any status below 500, or 501.
  Result<Reply> Ask(const Request& request);
  Result<Reply> AskOnce(const Request& request);
  void Prepare(Handle& handle, Transfer& transfer) const;
  static void SetMethod(Handle& handle, Transfer& transfer);
  void NoteAnswer();
  void NoteSilence(Clock::time_point begun, const Error& why);
  // Waits before a request is repeated. False: there is no more time.
  bool Pause(int attempt, Clock::time_point begun);
  Error Refused(const Request& request, const Reply& reply);

  Result<void> PutWhole(const std::string& key, const Content& content);
  Result<void> PutParts(const std::string& key, const Content& content);
  // The body that ends an upload.
  Result<std::string> SendParts(const std::string& key, const std::string& upload,
                                const Content& content);
  Result<void> Complete(const std::string& key, const std::string& upload, const std::string& body,
                        std::uint64_t size);
  Result<void> Abort(const std::string& key, const std::string& upload);
  Result<void> AbortAll(const std::string& key);

  std::unique_ptr<Handle> TakeHandle();
  void GiveHandle(std::unique_ptr<Handle> handle);

  const S3Address address_;
  mutable std::mutex mutex_;
  std::condition_variable cancel_;
  bool cancelled_ = false;
  std::vector<std::unique_ptr<Handle>> idle_;
  std::optional<Clock::time_point> answered_;  // last
  Clock::time_point away_until_;
  std::string trouble_;
};

}  // namespace cloister
