#pragma once

// The calls of apis/calls.def as structs with encoders and decoders, and as a table.
//
// A struct of arguments or results holds views: into the payload it was decoded from, or into what
// the caller owns while it encodes. Decoding trusts nothing: no list is longer than kCallListMax,
// nothing is allocated for bytes that are not there.
//
// A kCall frame is a u16 number and the arguments; what is larger than one frame goes on in the
// next ones (kFrameMore). A kCallReply is a u8 CallStatus and then the results, a QuotaRefusal or a
// CallFailure, in the same way.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/result.h"
#include "apis/wire/codec.h"

namespace cloister {

// The most bytes of one call or its answer, heads of frames not counted: the largest value, and
// what belongs to it.
inline constexpr std::size_t kCallMax = (std::size_t{1} << 20) + 65536;
// The most elements of one list.
inline constexpr std::size_t kCallListMax = 1000;
// Calls that one worker may have under way, and bytes of them. An honest worker waits before it
// sends more.
inline constexpr std::size_t kCallsMax = 64;
inline constexpr std::size_t kCallBytesMax = 4 * kCallMax;

enum class CallStatus : std::uint8_t { kDone = 0, kQuotaExceeded = 1, kFailed = 2 };

// How CacheSet treats a key that is there.
enum class CacheSetMode : std::uint8_t { kSet = 0, kAdd = 1, kReplace = 2 };
enum class CacheCasOutcome : std::uint8_t { kFailed = 0, kStored = 1, kChanged = 2, kMissing = 3 };

// An app's quota that a call would have gone beyond; cloister.QuotaExceeded in Python.
struct QuotaRefusal {
  std::string_view quota;  // "cache.value"
  std::uint64_t limit = 0;
  std::uint64_t used = 0;            // with this call
  std::uint32_t retry_after_ms = 0;  // 0: the same call never succeeds
};

// cloister.ApiError in Python.
struct CallFailure {
  std::string_view code;  // stable, in docs/errors.md
  std::string_view message;
};

// The types of fields, by their names in calls.def.
namespace call {
using U8 = std::uint8_t;
using U32 = std::uint32_t;
using U64 = std::uint64_t;
using I64 = std::int64_t;
using BYTES = std::string_view;
using OPT_BYTES = std::optional<std::string_view>;
using OPT_I64 = std::optional<std::int64_t>;
using LIST_BYTES = std::vector<std::string_view>;
using LIST_OPT_BYTES = std::vector<std::optional<std::string_view>>;
using LIST_U8 = std::vector<std::uint8_t>;

enum class Type : std::uint8_t {
  kNone,  // ends a row
  kU8,
  kU32,
  kU64,
  kI64,
  kBytes,
  kOptBytes,
  kOptI64,
  kListBytes,
  kListOptBytes,
  kListU8,
};
}  // namespace call

enum class CallNumber : std::uint16_t {
#define CALL(name, number, method) k##name = number,
#define ARG(type, name)
#define RESULT(type, name)
#define END_CALL
#include "apis/calls.def"
#undef CALL
#undef ARG
#undef RESULT
#undef END_CALL
};

#define CALL(name, number, method)                             \
  struct name {                                                \
    static constexpr CallNumber kNumber = CallNumber::k##name; \
    template <typename Visitor>                                \
    void ForEachField(Visitor&& visit) {                       \
      VisitFields(*this, visit);                               \
    }                                                          \
    template <typename Visitor>                                \
    void ForEachField(Visitor&& visit) const {                 \
      VisitFields(*this, visit);                               \
    }                                                          \
    bool operator==(const name&) const = default;
#define ARG(type, name) call::type name = {};
#define RESULT(type, name)
#define END_CALL                                       \
 private:                                              \
  template <typename Self, typename Visitor>           \
  static void VisitFields(Self& self, Visitor& visit); \
  }                                                    \
  ;
#include "apis/calls.def"
#undef CALL
#undef ARG
#undef RESULT
#define CALL(name, number, method)             \
  struct name##Result {                        \
    template <typename Visitor>                \
    void ForEachField(Visitor&& visit) {       \
      VisitFields(*this, visit);               \
    }                                          \
    template <typename Visitor>                \
    void ForEachField(Visitor&& visit) const { \
      VisitFields(*this, visit);               \
    }                                          \
    bool operator==(const name##Result&) const = default;
#define ARG(type, name)
#define RESULT(type, name) call::type name = {};
#include "apis/calls.def"
#undef CALL
#undef ARG
#undef RESULT
#undef END_CALL

#define CALL(name, number, method)           \
  template <typename Self, typename Visitor> \
  void name::VisitFields([[maybe_unused]] Self& self, [[maybe_unused]] Visitor& visit) {
#define ARG(type, name) visit(self.name);
#define RESULT(type, name)
#define END_CALL }
#include "apis/calls.def"
#undef CALL
#undef ARG
#undef RESULT
#define CALL(name, number, method)           \
  template <typename Self, typename Visitor> \
  void name##Result::VisitFields([[maybe_unused]] Self& self, [[maybe_unused]] Visitor& visit) {
#define ARG(type, name)
#define RESULT(type, name) visit(self.name);
#include "apis/calls.def"
#undef CALL
#undef ARG
#undef RESULT
#undef END_CALL

// One call as a row: for whoever reads and writes values of another language.
struct CallInfo {
  CallNumber number = {};
  std::string_view method;  // "cache.get"
  std::span<const call::Type> args;
  std::span<const call::Type> results;
};

// In the order of calls.def.
std::span<const CallInfo> Calls();
// Null when there is none of that number.
const CallInfo* FindCall(std::uint16_t number);

namespace call {

struct Writer {
  WireWriter out;
  void operator()(U8 value) { out.U8(value); }
  void operator()(U32 value) { out.U32(value); }
  void operator()(U64 value) { out.U64(value); }
  void operator()(I64 value) { out.U64(static_cast<std::uint64_t>(value)); }
  void operator()(BYTES value) { out.Str32(value); }
  void operator()(const OPT_BYTES& value) {
    out.U8(value ? 1 : 0);
    if (value)
      out.Str32(*value);
  }
  void operator()(const OPT_I64& value) {
    out.U8(value ? 1 : 0);
    if (value)
      (*this)(*value);
  }
  template <typename Element>
  void operator()(const std::vector<Element>& list) {
    out.U32(static_cast<std::uint32_t>(list.size()));
    for (const Element& each : list)
      (*this)(each);
  }
};

struct Reader {
  WireReader in;
  bool sound = true;  // every list and every mark of an optional value was one
  void operator()(U8& value) { value = in.U8(); }
  void operator()(U32& value) { value = in.U32(); }
  void operator()(U64& value) { value = in.U64(); }
  void operator()(I64& value) { value = static_cast<std::int64_t>(in.U64()); }
  void operator()(BYTES& value) { value = in.Str32(); }
  template <typename Value>
  void operator()(std::optional<Value>& value) {
    const std::uint8_t there = in.U8();
    sound = sound && there <= 1;
    if (there == 1)
      (*this)(value.emplace());
  }
  template <typename Element>
  void operator()(std::vector<Element>& list) {
    const std::uint32_t count = in.U32();
    sound = sound && count <= kCallListMax;
    for (std::uint32_t i = 0; sound && in.ok() && i < count; ++i)
      (*this)(list.emplace_back());
  }
};

}  // namespace call

// Appends the fields of arguments or results.
template <typename Fields>
void EncodeFields(const Fields& fields, std::string& out) {
  fields.ForEachField(call::Writer{WireWriter(out)});
}

// kProtocol: a truncation, bytes left over, or a list that is too long.
template <typename Fields>
Result<Fields> DecodeFields(std::string_view bytes) {
  Fields fields;
  call::Reader reader{.in = WireReader(bytes)};
  fields.ForEachField(reader);
  if (!reader.sound || !reader.in.AtEnd())
    return Error{ErrorCode::kProtocol, "malformed fields of a call"};
  return fields;
}

// Answers, whole, as kCallReply carries them.
template <typename Results>
std::string EncodeReply(const Results& results) {
  std::string reply(1, static_cast<char>(CallStatus::kDone));
  EncodeFields(results, reply);
  return reply;
}
std::string EncodeReply(const QuotaRefusal& refusal);
std::string EncodeReply(const CallFailure& failure);

}  // namespace cloister
