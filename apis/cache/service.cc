#include "apis/cache/service.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "apis/base/check.h"
#include "apis/base/log.h"
#include "apis/cache/script.h"
#include "apis/cache/token.h"

namespace cloister {
namespace {

// Of an answer, beside its values: marks and lengths.
constexpr std::size_t kValueHead = 8;
constexpr std::size_t kAnswerHead = 64;
// Marks an element of Call::unasked: it is larger than its beginning.
constexpr std::size_t kIsLarge = std::size_t{1} << 16;

// A number as text, for an argument of a command.
class NumberText {
 public:
  template <typename Number>
  explicit NumberText(Number number) {
    end_ = std::to_chars(digits_.data(), digits_.data() + digits_.size(), number).ptr;
  }
  std::string_view text() const {
    return {digits_.data(), static_cast<std::size_t>(end_ - digits_.data())};
  }

 private:
  std::array<char, 24> digits_{};
  char* end_ = nullptr;
};

bool IsNoScript(const RedisReply& reply) {
  return reply.is(RedisReply::Kind::kError) && reply.text().starts_with("NOSCRIPT");
}

// What the script answers: three numbers at least.
bool IsOutcome(const RedisReply& reply) {
  if (reply.size() < 3)
    return false;
  for (std::size_t i = 0; i < 3; ++i)
    if (!reply.at(i).is(RedisReply::Kind::kInteger))
      return false;
  return reply.at(0).integer() >= 0 && reply.at(0).integer() <= 6;
}

std::optional<std::int64_t> NumberOf(std::string_view text) {
  std::int64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size())
    return std::nullopt;
  return number;
}

// What a write that could not be sent leaves behind must not be read: the app believes that it is
// overwritten or gone. Where nothing was asked and nothing was there to replace, all is as it was.
bool MattersUnsent(CacheOperation operation) {
  return operation == CacheOperation::kSet || operation == CacheOperation::kReplace ||
         operation == CacheOperation::kDelete;
}

}  // namespace

CacheService::CacheService(Parts parts, RedisOptions options)
    : parts_(std::move(parts)), redis_(parts_.loop, std::move(options), *this) {}

std::uint32_t CacheService::CostOfBytes(CallNumber number, std::string_view args) const {
  std::uint64_t bytes = args.size();
  if (number == CallNumber::kCacheCas)
    // As much may be hashed.
    if (const Result<CacheCas> cas = DecodeFields<CacheCas>(args); cas.ok())
      bytes += std::min<std::uint64_t>(CacheTokenLength(cas.value().token).value_or(0), kCallMax);
  return CacheCostOfBytes(bytes);
}

std::uint32_t CacheService::CostOfAnswer(std::size_t bytes) const {
  return CacheCostOfBytes(bytes);
}

Result<void> CacheService::Serve(CallId id, const CallOrigin& origin, CallNumber number,
                                 std::string_view args) {
  if (number == CallNumber::kCacheGet && ServeNear(id, origin, args))
    return {};
  const std::uint64_t serial = ++last_serial_;
  Call& call = calls_[serial];
  call.id = id;
  call.origin = origin;
  call.number = number;
  call.args = args;
  if (Result<void> decoded = Decode(call); !decoded.ok()) {
    calls_.erase(serial);
    return decoded;
  }
  App& app = apps_[origin.app];
  ++app.calls;
  ++counters_.calls;
  ++app.counters.calls;
  if (origin.overlay != 0)
    (void)overlays_[origin.overlay];
  if (app.loaded) {
    Start(serial);
    return {};
  }
  app.early.push_back(serial);
  Load(origin.app);
  return {};
}

void CacheService::Start(std::uint64_t serial) {
  Call& call = calls_.at(serial);
  App& app = apps_[call.origin.app];
  if (app.generation > app.persisted && !app.storing)
    StoreGeneration(call.origin.app, app);
  if (call.number == CallNumber::kCacheClear)
    return Clear(serial);
  if (Refuse(call)) {
    ++counters_.refused;
    ++app.counters.refused;
    const AppId id = call.origin.app;
    calls_.erase(serial);
    return EndCall(id, app);
  }
  call.generation = app.generation;
  call.outcomes.resize(call.writes.size());
  call.values.resize(call.keys.size());
  Advance(serial);
}

Result<void> CacheService::Decode(Call& call) {
  switch (call.number) {
    case CallNumber::kCacheGet:
      call.keys = {TRY(DecodeFields<CacheGet>(call.args)).key};
      break;
    case CallNumber::kCacheGets:
      call.keys = {TRY(DecodeFields<CacheGets>(call.args)).key};
      break;
    case CallNumber::kCacheGetMulti:
      call.keys = TRY(DecodeFields<CacheGetMulti>(call.args)).keys;
      break;
    case CallNumber::kCacheClear:
      (void)TRY(DecodeFields<CacheClear>(call.args));
      break;
    default:
      call.writes = TRY(DecodeCacheWrites(call.number, call.args));
      return {};
  }
  if (std::ranges::any_of(call.keys, &std::string_view::empty))
    return Error{ErrorCode::kProtocol, "an empty key"};
  return {};
}

bool CacheService::Refuse(const Call& call) {
  const CacheQuota& quota = call.origin.quota.cache;
  const auto refuse = [&](std::string_view name, std::uint64_t limit, std::uint64_t used) {
    parts_.answers.NoteQuotaRefused(call.origin.app, name);
    parts_.answers.Answer(call.id,
                          EncodeReply(QuotaRefusal{.quota = name, .limit = limit, .used = used}));
    return true;
  };
  for (const std::string_view key : call.keys)
    if (key.size() > quota.key_max)
      return refuse("cache.key", quota.key_max, key.size());
  const std::size_t slot_head = apps_[call.origin.app].names.Slot({}).size();
  for (const CacheWrite& write : call.writes) {
    if (write.key.size() > quota.key_max)
      return refuse("cache.key", quota.key_max, write.key.size());
    if (write.value.size() > quota.value_max.count)
      return refuse("cache.value", quota.value_max.count, write.value.size());
    const Bytes charge =
        CacheCharge(slot_head + write.key.size(), write.key.size(), write.ValueSize());
    if (write.Stores() && charge > quota.bytes_max)
      return refuse("cache.bytes", quota.bytes_max.count, charge.count);
  }
  return false;
}

void CacheService::Clear(std::uint64_t serial) {
  const auto node = calls_.extract(serial);
  const Call& call = node.mapped();
  App& app = apps_[call.origin.app];
  const auto answer = [this, id = call.id] {
    parts_.answers.Answer(id, EncodeReply(CacheClearResult{.cleared = 1}));
  };
  if (call.origin.overlay != 0) {
    if (CacheOverlay* overlay = FindOverlay(call.origin); overlay != nullptr)
      overlay->Clear();
    answer();
  } else if (app.loaded) {
    Raise(call.origin.app, app);
    // Before the next write: what it leaves behind counts until it is gone.
    if (!app.sweeping)
      Sweep(call.origin.app, app);
    WhenPersisted(call.origin.app, app, app.generation, answer);
  } else {
    app.owed = true;
    parts_.answers.Answer(call.id, EncodeReply(CacheClearResult{}));
  }
  EndCall(call.origin.app, app);
}

void CacheService::Advance(std::uint64_t serial, bool its_turn) {
  Call& call = calls_.at(serial);
  // On the overlay one key after the other: each may change what the next one finds.
  const std::size_t window = call.origin.overlay == 0 ? kWindow : 1;
  while (call.waiting < window) {
    if (!call.unasked.empty()) {
      if (!StartRead(serial, call, call.unasked.back(), std::exchange(its_turn, false)))
        break;
      call.unasked.pop_back();
    } else if (call.next < call.size() && !call.full) {
      if (!StartKey(serial, call, call.next, std::exchange(its_turn, false)))
        break;
      ++call.next;
    } else {
      break;
    }
  }
  const bool all = call.unasked.empty() && (call.full || call.next == call.size());
  if (call.waiting == 0 && all)
    Finish(serial);
}

bool CacheService::StartKey(std::uint64_t serial, Call& call, std::size_t element, bool its_turn) {
  const bool writes = !call.writes.empty();
  if (call.origin.overlay != 0) {
    const std::string_view key = writes ? call.writes[element].key : call.keys[element];
    const CacheOverlay* overlay = FindOverlay(call.origin);
    if (overlay == nullptr) {
      FailElement(call, element, false);
      return true;
    }
    const CacheOverlay::Found found = overlay->Find(key, parts_.clock.Now());
    if (found.where != CacheOverlay::Where::kBelow) {
      const bool here = found.where == CacheOverlay::Where::kHere;
      TakeValue(call, element, here ? std::optional(found.value) : std::nullopt);
      return true;
    }
  } else if (writes) {
    App& app = apps_[call.origin.app];
    if (!app.loaded || !SendWrite(serial, call, element, false)) {
      FailElement(call, element, false);
      return true;
    }
    ++call.waiting;
    if (app.sweep_due && !app.sweeping)
      Sweep(call.origin.app, app);
    return true;
  }
  return StartRead(serial, call, element, its_turn);
}

bool CacheService::StartRead(std::uint64_t serial, Call& call, std::size_t element, bool its_turn) {
  App& app = apps_[call.origin.app];
  const bool asked = !call.unasked.empty();
  const bool large = (element & kIsLarge) != 0;
  element &= ~kIsLarge;
  const std::string_view key = call.writes.empty() ? call.keys[element] : call.writes[element].key;
  if (const auto value = asked ? std::nullopt : FindNear(call, app, key)) {
    TakeValue(call, element, value);
    return true;
  }
  const CachePower power = large ? kCacheAny : app.sizes.Of(key);
  // Who else stored values of this app did not tell how large they are.
  const CacheRead read{.power = power, .begins = !asked && !app.all_noted && power == kCacheSmall};
  const std::uint64_t bytes = CachePowerBytes(power);
  if (call.waiting > 0 && call.values_size + call.reading + bytes > kCallMax)
    return false;
  if (!reads_.Begin(app.reads, bytes, its_turn)) {
    if (call.waiting == 0)
      reads_.Wait(app.reads, serial, bytes);
    return false;
  }
  if (!app.loaded || !SendRead(serial, call, element, read)) {
    reads_.End(app.reads, bytes);
    FailElement(call, element, false);
    return true;
  }
  call.reading += bytes;
  ++call.waiting;
  if (app.sweep_due && !app.sweeping)
    Sweep(call.origin.app, app);
  return true;
}

bool CacheService::SendRead(std::uint64_t serial, const Call& call, std::size_t element,
                            CacheRead read) {
  const std::string_view key = call.writes.empty() ? call.keys[element] : call.writes[element].key;
  const std::string slot = apps_[call.origin.app].names.Slot(key);
  const std::uint64_t tag = TagOf(serial, element, read);
  std::optional<CacheNear::Ticket> ticket;
  if (near_.on() && call.origin.overlay == 0)
    ticket = near_.OnGet(call.origin.app, key, parts_.clock.Now());
  // Asked before the value, and counted from now, so that no time is too long.
  const bool keeping = ticket && redis_.Send(TagOf(kInternal, kTimeLeft),
                                             std::array<std::string_view, 2>{"PTTL", slot});
  const NumberText last(CachePowerBytes(read.power) - 1);
  const bool sent =
      read.begins
          ? redis_.Send(tag, std::array<std::string_view, 4>{"GETRANGE", slot, "0", last.text()})
          : redis_.Send(tag, std::array<std::string_view, 2>{"GET", slot});
  if (keeping)
    keeping_.push_back({.tag = sent ? tag : 0, .ticket = *ticket, .ttl = {}});
  return sent;
}

void CacheService::EndRead(Call& call, CacheRead read) {
  if (read.power == 0)
    return;
  const std::uint64_t bytes = CachePowerBytes(read.power);
  call.reading -= bytes;
  reads_.End(apps_[call.origin.app].reads, bytes);
}

void CacheService::AdvanceWaiting() {
  while (const std::optional<std::uint64_t> serial = reads_.Next())
    Advance(*serial, true);
}

bool CacheService::SendWrite(std::uint64_t serial, Call& call, std::size_t element,
                             bool whole_script) {
  App& app = apps_[call.origin.app];
  const CacheNames& names = app.names;
  const CacheWrite& write = call.writes[element];
  const std::string slot = names.Slot(write.key);
  const NumberText generation(app.generation);
  const NumberText quota(call.origin.quota.cache.bytes_max.count);
  const NumberText charge(CacheCharge(slot.size(), write.key.size(), write.ValueSize()).count);
  const NumberText ttl(write.ttl_ms);
  const NumberText delta(write.delta);
  const NumberText initial(write.initial.value_or(0));
  std::string_view value = write.value;
  std::string_view extra = write.token;
  if (write.operation == CacheOperation::kIncr) {
    value = write.initial ? initial.text() : std::string_view();
    extra = delta.text();
  }
  const std::array<std::string_view, 15> arguments = {
      whole_script ? "EVAL" : "EVALSHA",
      whole_script ? CacheScript() : std::string_view(CacheScriptSha()),
      "3",
      names.index(),
      names.generations(),
      slot,
      CacheOperationName(write.operation),
      generation.text(),
      write.key,
      quota.text(),
      charge.text(),
      ttl.text(),
      value,
      extra,
      app.sweep_due || app.sweeping ? "1" : "0",
  };
  near_.Drop(call.origin.app, write.key);
  app.sizes.Note(write.key, write.value.size());
  if (!redis_.Send(TagOf(serial, element), arguments))
    return false;
  call.generation = app.generation;
  app.pristine = false;
  return true;
}

void CacheService::OnReply(std::uint64_t tag, const RedisReply& reply) {
  const std::uint64_t serial = tag >> kSerialShift;
  const std::size_t element = ElementOf(tag);
  if (serial == kInternal)
    return OnInternalReply(element, reply);
  if (sweeping_.contains(serial))
    return OnSwept(serial, &reply);
  Call& call = calls_.at(serial);
  --call.waiting;
  const CacheRead read = ReadOf(tag);
  if (read.power == 0)
    OnWriteReply(serial, call, element, reply);
  else
    OnGetReply(call, element, read, reply, TakeKeeping(tag));
  AdvanceWaiting();
  Advance(serial);
}

void CacheService::OnWriteReply(std::uint64_t serial, Call& call, std::size_t element,
                                const RedisReply& reply) {
  const bool unknown_script = IsNoScript(reply);
  if (!unknown_script && !IsOutcome(reply)) {
    Log(LogLevel::kDebug, "cache_answer_refused", {{"error", reply.text()}});
    return FailElement(call, element, true);
  }
  const auto status = unknown_script
                          ? CacheStatus::kAgain
                          : CacheStatus{static_cast<std::uint8_t>(reply.at(0).integer())};
  App& app = apps_[call.origin.app];
  if (!unknown_script) {
    const auto evicted =
        static_cast<std::uint64_t>(std::max<std::int64_t>(reply.at(1).integer(), 0));
    counters_.evicted += evicted;
    app.counters.evicted += evicted;
    if (status == CacheStatus::kNoMemory || reply.size() > 4)
      NoteFull();
    if (const std::int64_t used = reply.at(2).integer(); used >= 0)
      app.used = Bytes{static_cast<std::uint64_t>(used)};
  }
  if (status == CacheStatus::kAgain) {
    const bool may = call.steps++ < kStepsMax + static_cast<int>(call.size());
    if (may && SendWrite(serial, call, element, unknown_script)) {
      ++call.waiting;
      return;
    }
    return FailElement(call, element, !unknown_script);
  }
  CacheOutcome& outcome = call.outcomes[element];
  outcome.status = status;
  if (status == CacheStatus::kNoMemory || status == CacheStatus::kSweeping) {
    ++counters_.failed;
    ++app.counters.failed;
  }
  if (call.number == CallNumber::kCacheIncr && status == CacheStatus::kYes && reply.size() > 3)
    outcome.number = NumberOf(reply.at(3).text());
}

void CacheService::OnGetReply(Call& call, std::size_t element, CacheRead read,
                              const RedisReply& reply, const std::optional<Keeping>& keeping) {
  EndRead(call, read);
  App& app = apps_[call.origin.app];
  // What was asked for before a write was lost is not what is there.
  const bool fresh = call.generation == app.generation;
  if (reply.is(RedisReply::Kind::kText) && fresh && read.begins) {
    const bool large = reply.text().size() >= CachePowerBytes(read.power);
    // An empty beginning is that of an empty value, or of none.
    if (large || reply.text().empty()) {
      call.unasked.push_back(large ? element | kIsLarge : element);
      return;
    }
  }
  if (reply.is(RedisReply::Kind::kText) && fresh) {
    app.sizes.Note(call.writes.empty() ? call.keys[element] : call.writes[element].key,
                   reply.text().size());
    if (keeping)
      near_.Keep(call.origin.app, call.keys[element], {.value = reply.text(), .ttl = keeping->ttl},
                 keeping->ticket, parts_.clock.Now());
    return TakeValue(call, element, reply.text());
  }
  if (!reply.is(RedisReply::Kind::kNil) && !reply.is(RedisReply::Kind::kText))
    return FailElement(call, element, true);
  TakeValue(call, element, std::nullopt);
}

void CacheService::TakeValue(Call& call, std::size_t element,
                             std::optional<std::string_view> value) {
  if (!call.writes.empty()) {
    if (CacheOverlay* overlay = FindOverlay(call.origin); overlay != nullptr) {
      // The value may lie in the overlay that the write changes.
      const std::optional<std::string> below(value);
      call.outcomes[element] =
          overlay->Apply(call.writes[element], below, parts_.clock.Now(), OverlayRoom(call.origin));
    }
    return;
  }
  // Nothing that we stored: it would fit no answer.
  if (value && value->size() > kCallMax - kAnswerHead - kValueHead)
    value.reset();
  App& app = apps_[call.origin.app];
  ++(value ? counters_.hits : counters_.misses);
  ++(value ? app.counters.hits : app.counters.misses);
  call.values_size += kValueHead + (value ? value->size() : 0);
  call.full = call.values_size + kAnswerHead > kCallMax;
  if (value)
    call.values[element] = std::string(*value);
}

void CacheService::FailElement(Call& call, std::size_t element, bool sent) {
  App& app = apps_[call.origin.app];
  ++counters_.failed;
  ++app.counters.failed;
  if (call.origin.overlay != 0 || call.writes.empty())
    return TakeValue(call, element, std::nullopt);
  call.outcomes[element] = {};
  const CacheOperation operation = call.writes[element].operation;
  // A touch that was lost changes no value.
  const bool matters = sent ? operation != CacheOperation::kTouch : MattersUnsent(operation);
  if (!matters)
    return;
  app.owed = app.owed || !app.loaded;
  if (!app.loaded)
    return;
  const bool nothing_there = !sent && app.pristine;
  if (!nothing_there && app.generation == call.generation)
    Raise(call.origin.app, app);
  call.needed = std::max(call.needed, app.generation);
}

void CacheService::OnLost(std::uint64_t tag) {
  const std::uint64_t serial = tag >> kSerialShift;
  if (serial == kInternal)
    return;
  if (sweeping_.contains(serial))
    return OnSwept(serial, nullptr);
  Call& call = calls_.at(serial);
  --call.waiting;
  EndRead(call, ReadOf(tag));
  FailElement(call, ElementOf(tag), true);
  AdvanceWaiting();
  Advance(serial);
}

void CacheService::Finish(std::uint64_t serial) {
  auto node = calls_.extract(serial);
  Call& call = node.mapped();
  const AppId app_id = call.origin.app;
  App& app = apps_[app_id];
  if (call.number == CallNumber::kCacheGetMulti)
    CutToFit(call);
  std::string reply = ReplyOf(call);
  const auto given_back = static_cast<std::uint32_t>(call.keys.size() - call.values.size());
  if (given_back > 0)
    parts_.answers.GiveBack(call.id, given_back);
  if (app.persisted >= call.needed)
    parts_.answers.Answer(call.id, std::move(reply));
  else
    WhenPersisted(app_id, app, call.needed,
                  [this, id = call.id, reply = std::move(reply)]() mutable {
                    parts_.answers.Answer(id, std::move(reply));
                  });
  EndCall(app_id, app);
}

void CacheService::CutToFit(Call& call) {
  std::size_t size = kAnswerHead;
  std::size_t fit = 0;
  // The first one always fits; what was not asked for does not count.
  while (fit < call.next) {
    const std::optional<std::string>& value = call.values[fit];
    size += kValueHead + (value ? value->size() : 0);
    if (size > kCallMax)
      break;
    ++fit;
  }
  call.values.resize(fit);
}

void CacheService::EndCall(AppId id, App& app) {
  --app.calls;
  if (app.deleted)
    ForgetIfOver(id, app);
}

std::string CacheService::ReplyOf(const Call& call) const {
  const auto done = [](const CacheOutcome& outcome) -> std::uint8_t {
    return outcome.status == CacheStatus::kYes ? 1 : 0;
  };
  switch (call.number) {
    case CallNumber::kCacheGet:
      return EncodeReply(CacheGetResult{.value = call.values[0]});
    case CallNumber::kCacheGets: {
      const std::optional<std::string>& value = call.values[0];
      const std::string token = value ? CacheTokenOf(*value) : std::string();
      return EncodeReply(CacheGetsResult{.value = value, .token = token});
    }
    case CallNumber::kCacheGetMulti:
      return EncodeReply(CacheGetMultiResult{.values = {call.values.begin(), call.values.end()}});
    case CallNumber::kCacheSet:
      return EncodeReply(CacheSetResult{.stored = done(call.outcomes[0])});
    case CallNumber::kCacheCas: {
      const CacheStatus status = call.outcomes[0].status;
      CacheCasOutcome outcome = CacheCasOutcome::kFailed;
      if (status == CacheStatus::kYes)
        outcome = CacheCasOutcome::kStored;
      else if (status == CacheStatus::kChanged)
        outcome = CacheCasOutcome::kChanged;
      else if (status == CacheStatus::kMissing)
        outcome = CacheCasOutcome::kMissing;
      return EncodeReply(CacheCasResult{.outcome = static_cast<std::uint8_t>(outcome)});
    }
    case CallNumber::kCacheDelete:
      return EncodeReply(CacheDeleteResult{.deleted = done(call.outcomes[0])});
    case CallNumber::kCacheIncr:
      return EncodeReply(CacheIncrResult{.value = call.outcomes[0].number});
    case CallNumber::kCacheTouch:
      return EncodeReply(CacheTouchResult{.touched = done(call.outcomes[0])});
    default:
      break;
  }
  std::vector<std::uint8_t> all(call.outcomes.size());
  std::ranges::transform(call.outcomes, all.begin(), done);
  return call.number == CallNumber::kCacheSetMulti
             ? EncodeReply(CacheSetMultiResult{.stored = std::move(all)})
             : EncodeReply(CacheDeleteMultiResult{.deleted = std::move(all)});
}

}  // namespace cloister
