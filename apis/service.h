#pragma once

// What the node's side of an API implements, and what it answers to.
//
// Runs on the loop thread. daemon/calls decodes nothing of a call but its number: it knows which
// worker speaks, and so which app (I10), has metered it, and gives it to the service of its API.
// The service answers by the call's id, at once or later, exactly once; an answer whose worker is
// gone meanwhile is dropped.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "apis/base/names.h"
#include "apis/base/result.h"
#include "apis/cache/quota.h"
#include "apis/calls.h"
#include "apis/persistence/quota.h"
#include "apis/query/quota.h"

namespace cloister {

// Of the node process; never used twice.
using CallId = std::uint64_t;
// A release that is booted and checked without a trace; 0: what is written stays.
using OverlayId = std::uint64_t;
// One worker's life on its channel; never used twice in a node process.
using CallerId = std::uint64_t;

// The quotas of one app for what its calls use.
struct CallQuota {
  CacheQuota cache;
  PersistenceQuota persistence;
  QueryQuota query;

  bool operator==(const CallQuota&) const = default;
};

// Whose call it is. The quota is the one of now.
struct CallOrigin {
  AppId app;
  OverlayId overlay = 0;
  CallQuota quota;
  CallerId caller = 0;
};

class CallAnswers {
 public:
  virtual ~CallAnswers() = default;
  // `reply` is what EncodeReply gives, at most kCallMax.
  virtual void Answer(CallId call, std::string reply) = 0;
  // The answer to come leaves out so many of the things that the call asked for, and was metered
  // for: the app has these calls left.
  virtual void GiveBack(CallId call, std::uint32_t count) = 0;
  // For the app's log: a quota was gone beyond; at most once a minute is said.
  virtual void NoteQuotaRefused(AppId app, std::string_view quota) = 0;
  // The same of one that is used up to kQuotaNear or more. `used`: 0 to 1.
  virtual void NoteQuotaNear(AppId app, std::string_view quota, std::string_view limit,
                             double used) = 0;
};

class ApiService {
 public:
  virtual ~ApiService() = default;
  // `args` are valid within this call only. kProtocol: no honest worker sends this; it is ended,
  // and the call needs no answer.
  virtual Result<void> Serve(CallId id, const CallOrigin& origin, CallNumber number,
                             std::string_view args) = 0;
  // What the bytes of a call cost the app of its calls, beside one a key; asked before Serve, of
  // `args` that nobody has looked at.
  virtual std::uint32_t CostOfBytes(CallNumber /*number*/, std::string_view /*args*/) const {
    return 0;
  }
  // The same of the bytes of an answer, which the app owes from then on.
  virtual std::uint32_t CostOfAnswer(std::size_t /*bytes*/) const { return 0; }
  // The worker is gone: what it began and did not end is nobody's.
  virtual void OnCallerGone(CallerId /*caller*/) {}
  // The last worker of that release on the overlay is gone, and what they wrote with it.
  virtual void OnOverlayEnded(OverlayId /*overlay*/) {}
  // The app is gone: so is what it has here.
  virtual void OnAppDeleted(AppId /*app*/) {}
  // After OnAppDeleted: `done` when nothing of its directory is in use any more, so that it may go.
  // NOLINTNEXTLINE(performance-unnecessary-value-param): others keep it.
  virtual void WhenClosed(AppId /*app*/, std::function<void()> done) { done(); }
};

}  // namespace cloister
