#pragma once

// Responses whose body is an object of the app: its worker names the object (`Cloister-Object`,
// docs/apps/persistence.md) and is done; the node sends it, with ranges and conditions.
//
// The object comes from its store piece by piece, on threads, and each piece is checked against its
// hash the first time. A transfer has the piece that it sends and the one that follows; together
// they keep within a budget, beyond which pieces are small. Runs on the loop thread.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "apis/base/clock.h"
#include "apis/base/names.h"
#include "apis/base/result.h"
#include "apis/base/sha256.h"
#include "apis/base/units.h"
#include "apis/persistence/service.h"
#include "daemon/http/conditions.h"
#include "daemon/http/message.h"
#include "daemon/logs/log_event.h"

namespace cloister {

// The header that names the object, in lower case. It is taken out of the response, and so is what
// the node knows better: Content-Length, ETag, Accept-Ranges.
inline constexpr std::string_view kObjectHeader = "cloister-object";

// What the worker answered.
struct ObjectAnswer {
  Sha256 id;
  int status = 200;
  std::string reason;
  std::vector<std::pair<std::string, std::string>> headers;

  // Of a response whose headers are valid; whether one of them names an object, and which. An error
  // says what is wrong with it, for the app's log.
  static Result<std::optional<ObjectAnswer>> Of(int status, std::string_view reason,
                                                std::span<const HttpHeader> headers);
};

// The release whose worker answered.
struct ObjectOwner {
  AppId app;
  std::string app_name;
  std::string version;
  OverlayId overlay = 0;
};

class ObjectResponses {
 public:
  struct Parts {
    const Clock& clock;
    PersistenceService& objects;
    LogSink& logs;
  };
  struct Options {
    // Of pieces that wait for their clients: all, and of one app.
    Bytes budget = MiB(64);
    Bytes app_budget = MiB(16);
  };

  // `parts` must outlive this; this must outlive all exchanges that it was given.
  ObjectResponses(const Parts& parts, const Options& options);
  ObjectResponses(const ObjectResponses&) = delete;
  ObjectResponses& operator=(const ObjectResponses&) = delete;
  ~ObjectResponses();

  // Answers the exchange, now or later. What is wrong with the object is said in the app's log.
  void Respond(Exchange& exchange, ObjectOwner owner, ObjectAnswer answer);

 private:
  class Transfer;

  // What the app's next piece takes of the budget; 0: it has to be a small one.
  std::uint32_t TakePiece(AppId app);
  void GivePiece(AppId app, std::uint32_t size);
  // The transfer's next piece, of at most `wanted` bytes.
  void Read(const Transfer& transfer, std::uint64_t offset, std::uint64_t wanted);
  void End(std::uint64_t number);
  void Say(const ObjectOwner& owner, std::string_view request_id, std::string text);

  Parts parts_;
  Options options_;
  std::map<std::uint64_t, std::unique_ptr<Transfer>> transfers_;
  std::uint64_t last_transfer_ = 0;
  std::uint64_t taken_ = 0;
  std::unordered_map<AppId, std::uint64_t> taken_by_;
  std::shared_ptr<ObjectResponses*> self_;  // null inside once this is gone
};

}  // namespace cloister
