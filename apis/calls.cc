#include "apis/calls.h"

#include <algorithm>

namespace cloister {
namespace {

using call::Type;

// The names of calls.def as values. NOLINTBEGIN(readability-identifier-naming)
constexpr Type U8 = Type::kU8;
constexpr Type U32 = Type::kU32;
constexpr Type U64 = Type::kU64;
constexpr Type I64 = Type::kI64;
constexpr Type BYTES = Type::kBytes;
constexpr Type OPT_BYTES = Type::kOptBytes;
constexpr Type OPT_I64 = Type::kOptI64;
constexpr Type LIST_BYTES = Type::kListBytes;
constexpr Type LIST_OPT_BYTES = Type::kListOptBytes;
constexpr Type LIST_U8 = Type::kListU8;
// NOLINTEND(readability-identifier-naming)

#define CALL(name, number, method) constexpr Type k##name##Args[] = {
#define ARG(type, name) type,
#define RESULT(type, name)
#define END_CALL \
  Type::kNone    \
  }              \
  ;
#include "apis/calls.def"
#undef CALL
#undef ARG
#undef RESULT
#define CALL(name, number, method) constexpr Type k##name##Results[] = {
#define ARG(type, name)
#define RESULT(type, name) type,
#include "apis/calls.def"
#undef CALL
#undef ARG
#undef RESULT
#undef END_CALL

// Without the end.
template <std::size_t size>
constexpr std::span<const Type> FieldsOf(const Type (&types)[size]) {
  return {types, size - 1};
}

constexpr CallInfo kCalls[] = {
#define CALL(name, number, method) \
  {CallNumber::k##name, method, FieldsOf(k##name##Args), FieldsOf(k##name##Results)},
#define ARG(type, name)
#define RESULT(type, name)
#define END_CALL
#include "apis/calls.def"
#undef CALL
#undef ARG
#undef RESULT
#undef END_CALL
};

}  // namespace

std::span<const CallInfo> Calls() {
  return kCalls;
}

const CallInfo* FindCall(std::uint16_t number) {
  const auto found = std::ranges::find(kCalls, CallNumber{number}, &CallInfo::number);
  return found == std::end(kCalls) ? nullptr : found;
}

std::string EncodeReply(const QuotaRefusal& refusal) {
  std::string reply;
  WireWriter out(reply);
  out.U8(static_cast<std::uint8_t>(CallStatus::kQuotaExceeded));
  out.Str16(refusal.quota);
  out.U64(refusal.limit);
  out.U64(refusal.used);
  out.U32(refusal.retry_after_ms);
  return reply;
}

std::string EncodeReply(const CallFailure& failure) {
  std::string reply;
  WireWriter out(reply);
  out.U8(static_cast<std::uint8_t>(CallStatus::kFailed));
  out.Str16(failure.code);
  out.Str32(failure.message);
  return reply;
}

}  // namespace cloister
