#pragma once

// Two node processes that serve the same apps for a while, and one generation of each app's cache.
//
// A node that drains cannot write the state any more, while its last requests still use the cache.
// When one of their writes is lost it asks its successor to raise the generation and to persist it,
// and answers the app only then; the successor tells it of every generation that it raised itself.
// Both speak over a socket pair of which the successor's end comes with the socket for late log
// events (LateCacheSocket). A successor that is gone cannot be asked: then the app is answered, and
// should the next node read the cache before Redis forgets, it may find an older value.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "apis/base/unique_fd.h"
#include "apis/cache/generations.h"
#include "apis/cache/service.h"
#include "apis/wire/fd_socket.h"
#include "daemon/loop/fd_watch.h"
#include "daemon/loop/loop.h"

namespace cloister {

// One end of that socket pair. What it cannot send at once waits: the newest of each app.
class CacheLink : private FdWatch::Handler {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnLost(CacheLink& link, AppId app, std::uint64_t generation) = 0;
    virtual void OnRaised(CacheLink& link, AppId app, std::uint64_t generation) = 0;
    // The other end is gone. The link may be destroyed within.
    virtual void OnEnded(CacheLink& link) = 0;
  };

  CacheLink(Loop& loop, UniqueFd socket, Listener& listener);
  CacheLink(const CacheLink&) = delete;
  CacheLink& operator=(const CacheLink&) = delete;
  ~CacheLink() override = default;

  // A write of that generation may be lost.
  void SendLost(AppId app, std::uint64_t generation);
  // The app's generation is at least that, for good.
  void SendRaised(AppId app, std::uint64_t generation);

 private:
  using Newest = std::map<AppId, std::uint64_t>;

  void OnReadable() override;
  void OnWritable() override { SendWaiting(); }
  void Take(const Packet& packet);
  void SendWaiting();
  template <typename Message>
  bool SendAll(Newest& waiting);

  UniqueFd socket_;
  Listener& listener_;
  Newest lost_;
  Newest raised_;
  FdWatch watch_;
};

class LateCache : public CacheGenerations, private CacheLink::Listener {
 public:
  // `stored`: where generations are while this process writes the state.
  LateCache(Loop& loop, CacheGenerations& stored) : loop_(loop), stored_(stored) {}

  // Whose generations these are; before the loop runs.
  void SetService(CacheService& service) { service_ = &service; }

  void Load(AppId app, std::function<void(Result<CacheGeneration>)> done) override;
  void Store(AppId app, std::uint64_t number, std::function<void(Result<void>)> done) override;

  // This process drains: from now on its successor persists, which gets the returned end. Invalid:
  // there is none.
  UniqueFd Forward();
  // The end that the one before sent.
  void Follow(UniqueFd predecessor);

 private:
  void OnLost(CacheLink& link, AppId app, std::uint64_t generation) override;
  void OnRaised(CacheLink& link, AppId app, std::uint64_t generation) override;
  void OnEnded(CacheLink& link) override;
  void WatchGenerations();

  struct Waiting {
    std::uint64_t number = 0;
    std::function<void(Result<void>)> done;
  };

  Loop& loop_;
  CacheGenerations& stored_;
  CacheService* service_ = nullptr;
  bool forwarding_ = false;
  std::unique_ptr<CacheLink> successor_;
  std::unique_ptr<CacheLink> predecessor_;
  std::multimap<AppId, Waiting> waiting_;  // for the successor's word
};

}  // namespace cloister
