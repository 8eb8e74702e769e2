#pragma once

// Objects that come in pieces, over several calls: those that are open, each of one worker.
//
// Owned by a PersistenceService, on whose behalf it answers; runs on the loop thread. The calls of
// a stream are done in their order, one at a time. One that fails or goes beyond a quota is over,
// and leaves nothing; so is one whose worker ends.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "apis/persistence/service.h"

namespace cloister {

class ObjectStreams {
 public:
  // Of one app, or of one check of it, at one time.
  static constexpr std::size_t kOpenMax = 32;

  explicit ObjectStreams(PersistenceService& service) : service_(service) {}
  ObjectStreams(const ObjectStreams&) = delete;
  ObjectStreams& operator=(const ObjectStreams&) = delete;
  ~ObjectStreams() = default;

  void Begin(CallId id, const CallOrigin& origin);
  Result<void> Append(CallId id, const CallOrigin& origin, std::string_view args);
  Result<void> Finish(CallId id, const CallOrigin& origin, std::string_view args);
  Result<void> Abort(CallId id, const CallOrigin& origin, std::string_view args);
  void OnCallerGone(CallerId caller);
  void OnAppDeleted(AppId app);

 private:
  struct Step {
    CallId id = 0;
    CallOrigin origin;
    std::shared_ptr<std::string> data;  // null: the end
  };
  // What counts together: an app's real objects, or those of one check.
  using Place = std::pair<std::uint64_t, OverlayId>;
  static Place PlaceOf(const CallOrigin& origin) { return {origin.app.number, origin.overlay}; }
  struct Stream {
    AppId app;
    OverlayId overlay = 0;
    CallerId caller = 0;
    std::shared_ptr<ObjectWriter> writer;
    std::uint64_t size = 0;
    bool ending = false;
    bool running = false;
    std::deque<Step> waiting;
  };
  // What is open there.
  struct Use {
    std::size_t streams = 0;
    std::uint64_t bytes = 0;
  };

  // Null, and the call is answered: it has none of that number.
  Stream* FindOrFail(CallId id, const CallOrigin& origin, std::uint64_t number);
  // Why these many bytes more are too many; an empty answer: they are not.
  ObjectReply Refuse(const CallOrigin& origin, const Stream& stream, std::size_t more);
  void Advance(std::uint64_t number);
  void OnAppended(std::uint64_t number, const Step& step, std::uint64_t size,
                  const Result<void>& appended);
  void OnFinished(std::uint64_t number, const Step& step, const Result<void>& finished);
  void Remove(std::uint64_t number);

  PersistenceService& service_;
  std::unordered_map<std::uint64_t, Stream> streams_;
  std::map<Place, Use> uses_;
  std::uint64_t last_ = 0;
};

}  // namespace cloister
