#pragma once

// The node's side of the cache: calls become commands of one Redis connection.
//
// An app's entries carry its id and its key generation. Reading is plain GETs; everything else runs
// the script (script.h), which keeps the app within its bytes by evicting what it has not used for
// longest. Reads are begun as far as their answers have room (reads.h). A write that may have been
// lost, because the server could not be asked or did not answer, raises the generation: from then
// on nothing is read that was stored before, and the new generation is persisted before the app
// hears that the write failed. What older generations left is swept away in small steps once the
// server is there.
//
// On the overlay (CallOrigin::overlay) writes stay in this process. What is read all the time comes
// from the near cache (near.h) where SetNear says so. Runs on the loop thread.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "apis/backends/redis.h"
#include "apis/base/clock.h"
#include "apis/cache/generations.h"
#include "apis/cache/layout.h"
#include "apis/cache/near.h"
#include "apis/cache/overlay.h"
#include "apis/cache/reads.h"
#include "apis/cache/writes.h"
#include "apis/service.h"

namespace cloister {

// Since the start of the node process. `failed`: keys of calls that the server did not answer.
struct CacheCounters {
  std::uint64_t calls = 0;
  std::uint64_t hits = 0;
  std::uint64_t near = 0;  // of the hits: without the server
  std::uint64_t misses = 0;
  std::uint64_t failed = 0;
  std::uint64_t evicted = 0;
  std::uint64_t refused = 0;      // beyond a quota
  std::uint64_t invalidated = 0;  // times that the generation was raised
};

struct CacheUse {
  Bytes used;  // as of the last write
  CacheCounters counters;
};

class CacheService : public ApiService, private Redis::Handler {
 public:
  struct Parts {
    uv_loop_t* loop = nullptr;
    const Clock& clock;
    CallAnswers& answers;
    CacheGenerations& generations;
    // Runs its argument once, then, in place of what it was given before.
    std::function<void(Millis, std::function<void()>)> later;
  };

  // `parts` must outlive the object.
  CacheService(Parts parts, RedisOptions options);
  CacheService(const CacheService&) = delete;
  CacheService& operator=(const CacheService&) = delete;
  ~CacheService() override = default;

  Result<void> Serve(CallId id, const CallOrigin& origin, CallNumber number,
                     std::string_view args) override;
  std::uint32_t CostOfBytes(CallNumber number, std::string_view args) const override;
  std::uint32_t CostOfAnswer(std::size_t bytes) const override;
  void OnOverlayEnded(OverlayId overlay) override;
  void OnAppDeleted(AppId id) override;

  // Beside this node process another one may serve the same apps for a while (it drains, or has
  // just begun). `told` hears of every generation that was raised here, once it is persisted. Null:
  // it is gone.
  void SetRaisedCallback(std::function<void(AppId, std::uint64_t)> told);
  // The other one raised it, and it is persisted.
  void RaiseGeneration(AppId id, std::uint64_t number);
  // The other one may have lost a write of this generation: `done` when that can be read no more.
  void Invalidate(AppId id, std::uint64_t lost, std::function<void()> done);

  // On: every write of the apps goes through this process, and no other one writes what it reads.
  void SetNear(bool on) { near_.Turn(on); }
  // Once a second while it is on: gives memory back.
  void ExpireNear() { near_.Expire(parts_.clock.Now()); }
  const CacheNear& near() const { return near_; }

  CacheUse UseOf(AppId app) const;
  const CacheCounters& counters() const { return counters_; }
  const Redis& redis() const { return redis_; }
  // What the operator should know of the server, or change about it; empty: nothing.
  std::string Advice() const;

 private:
  // The bytes of what one node keeps for overlays.
  static constexpr Bytes kOverlaysMax = MiB(256);
  // Keys of one call that are under way at one time.
  static constexpr std::size_t kWindow = 100;
  // Between two attempts to store a generation.
  static constexpr Millis kStoreRetryFirst{1000};
  static constexpr Millis kStoreRetryMax{60000};
  // A server that is away for so long is told of; it, or a full one, once in kToldPeriod.
  static constexpr Millis kAwayTold{5000};
  static constexpr Millis kToldPeriod{600000};
  // For so long a server that was full counts as full.
  static constexpr Millis kFullShown{60000};
  // Steps that the room for one entry is made in.
  static constexpr int kStepsMax = 64;

  // A tag of a command: the serial of its call, which key of it, and of a read how much its answer
  // has at most, and whether it asks for the beginning of the value only. kInternal: one of ours.
  static constexpr unsigned kElementBits = 12;
  static constexpr unsigned kPowerBits = 5;
  static constexpr unsigned kSerialShift = kElementBits + kPowerBits + 1;
  static constexpr std::uint64_t kInternal = 0;
  static constexpr std::size_t kScriptLoaded = 0;
  static constexpr std::size_t kServerInfo = 1;
  static constexpr std::size_t kTimeLeft = 2;
  static_assert(kCallListMax < (1U << kElementBits));
  static std::uint64_t TagOf(std::uint64_t serial, std::size_t element, CacheRead read = {}) {
    return serial << kSerialShift | std::uint64_t{read.begins} << (kElementBits + kPowerBits) |
           std::uint64_t{read.power} << kElementBits | element;
  }
  static std::size_t ElementOf(std::uint64_t tag) { return tag & ((1U << kElementBits) - 1); }
  static CacheRead ReadOf(std::uint64_t tag) {
    return {.power = static_cast<CachePower>(tag >> kElementBits & ((1U << kPowerBits) - 1)),
            .begins = (tag >> (kElementBits + kPowerBits) & 1) != 0};
  }

  struct Call {
    CallId id = 0;
    CallOrigin origin;
    CallNumber number = {};
    std::string args;  // what the keys and writes are views into
    std::vector<std::string_view> keys;
    std::vector<CacheWrite> writes;
    std::vector<CacheOutcome> outcomes;              // of writes
    std::vector<std::optional<std::string>> values;  // of keys
    std::size_t values_size = 0;
    std::uint64_t reading = 0;         // what answers that are under way may bring
    std::vector<std::size_t> unasked;  // elements whose beginning did not tell
    std::uint64_t generation = 0;
    std::uint64_t needed = 0;  // the generation that must be persisted before the answer
    std::size_t next = 0;
    std::size_t waiting = 0;
    int steps = 0;
    bool full = false;  // no more values fit in the answer

    std::size_t size() const { return writes.empty() ? keys.size() : writes.size(); }
  };

  struct App {
    bool loaded = false;
    bool loading = false;
    std::string space;
    CacheNames names;
    std::uint64_t generation = 0;
    std::uint64_t persisted = 0;
    bool storing = false;
    bool pristine = false;  // nobody has stored anything under this generation
    bool owed = false;      // a write failed before the generation was known: raise it then
    bool sweep_due = true;
    bool sweeping = false;
    bool deleted = false;    // goes with its last call
    bool all_noted = false;  // `sizes` knows whatever is large in this generation
    CacheSizes sizes;
    CacheReads::App reads;
    std::size_t calls = 0;  // under way
    Bytes used;
    CacheCounters counters;
    std::vector<std::uint64_t> early;  // calls, until it is loaded
    // What waits for a generation to be persisted.
    std::multimap<std::uint64_t, std::function<void()>> held;
  };

  struct Sweeping {
    AppId app;
    std::uint64_t generation = 0;
    bool deleted = false;
  };

  // A get whose answer is for the near cache: before it the server is asked for what is left of the
  // value's time.
  struct Keeping {
    std::uint64_t tag = 0;  // of the get; 0: it was not sent
    CacheNear::Ticket ticket;
    bool known = false;
    std::optional<Millis> ttl;
  };

  void OnReply(std::uint64_t tag, const RedisReply& reply) override;
  void OnLost(std::uint64_t tag) override;
  void OnConnected() override;
  void OnDisconnected(const Error& why) override;
  void OnNotConnected(const Error& why) override;

  static Result<void> Decode(Call& call);
  // Answers a get that needs no server; whether it did.
  bool ServeNear(CallId id, const CallOrigin& origin, std::string_view args);
  // Of a call whose app is loaded, or cannot be.
  void Start(std::uint64_t serial);
  // Answers a call that goes beyond a quota; whether it did.
  bool Refuse(const Call& call);
  void Clear(std::uint64_t serial);
  void Load(AppId id);
  void OnLoaded(AppId id, const Result<CacheGeneration>& loaded);

  // Starts what may be under way of a call, and answers it when all is done. `its_turn`: it has
  // waited for that.
  void Advance(std::uint64_t serial, bool its_turn = false);
  // False: it has to wait.
  bool StartKey(std::uint64_t serial, Call& call, std::size_t element, bool its_turn);
  bool StartRead(std::uint64_t serial, Call& call, std::size_t element, bool its_turn);
  bool SendRead(std::uint64_t serial, const Call& call, std::size_t element, CacheRead read);
  void EndRead(Call& call, CacheRead read);
  // Calls whose turn it is to read.
  void AdvanceWaiting();
  bool SendWrite(std::uint64_t serial, Call& call, std::size_t element, bool whole_script);
  void OnWriteReply(std::uint64_t serial, Call& call, std::size_t element, const RedisReply& reply);
  void OnGetReply(Call& call, std::size_t element, CacheRead read, const RedisReply& reply,
                  const std::optional<Keeping>& keeping);
  std::optional<std::string_view> FindNear(const Call& call, App& app, std::string_view key);
  void OnTimeLeft(const RedisReply& reply);
  std::optional<Keeping> TakeKeeping(std::uint64_t tag);
  void NoteFull();
  void OnInternalReply(std::size_t element, const RedisReply& reply);
  void TakeValue(Call& call, std::size_t element, std::optional<std::string_view> value);
  // The server did not answer; `sent`: it may have been asked.
  void FailElement(Call& call, std::size_t element, bool sent);
  void Finish(std::uint64_t serial);
  // Leaves out of the answer what it has no room for.
  static void CutToFit(Call& call);
  std::string ReplyOf(const Call& call) const;
  // A call of the app is over.
  void EndCall(AppId id, App& app);

  void Raise(AppId id, App& app);
  void StoreGeneration(AppId id, App& app);
  void OnStored(AppId id, std::uint64_t number, const Result<void>& stored);
  void RetryStores();
  void SetGeneration(AppId id, App& app, std::uint64_t number);
  void WhenPersisted(AppId id, App& app, std::uint64_t needed, std::function<void()> then);
  static void Release(App& app, std::uint64_t number);
  void Sweep(AppId id, App& app);
  // The app is deleted and nothing of it is under way any more.
  void ForgetIfOver(AppId id, const App& app);
  void SweepDeleted(AppId id, const CacheNames& names);
  bool SendSweep(std::uint64_t serial, const CacheNames& names, std::uint64_t generation);
  void OnSwept(std::uint64_t serial, const RedisReply* reply);
  CacheOverlay* FindOverlay(const CallOrigin& origin);
  Bytes OverlayRoom(const CallOrigin& origin) const;

  Parts parts_;
  CacheReads reads_;
  std::unordered_map<AppId, App> apps_;
  std::unordered_map<OverlayId, CacheOverlay> overlays_;
  std::unordered_map<std::uint64_t, Call> calls_;         // by serial
  std::unordered_map<std::uint64_t, Sweeping> sweeping_;  // by serial
  std::unordered_map<AppId, CacheNames> deleted_;         // what they have is not swept yet
  std::uint64_t last_serial_ = 0;
  CacheNear near_;
  std::deque<Keeping> keeping_;  // as they were sent, so as they are answered
  CacheCounters counters_;
  std::function<void(AppId, std::uint64_t)> on_raised_;
  std::string advice_;
  std::optional<MonotonicTime> away_since_;
  std::optional<MonotonicTime> away_told_;
  std::optional<MonotonicTime> full_at_;  // last
  std::optional<MonotonicTime> full_told_;
  bool store_failing_ = false;
  bool retrying_ = false;
  Millis store_retry_ = kStoreRetryFirst;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  Redis redis_;
};

}  // namespace cloister
