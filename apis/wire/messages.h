#pragma once

// Structs, encoders and decoders of the control messages in messages.def.
//
// EncodeMessage(m) gives the bytes of one packet: u8 number, then the fields. DecodeMessage<M>
// gives kProtocol for another number, a truncation or bytes left over.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "apis/base/result.h"
#include "apis/wire/codec.h"

namespace cloister {

namespace wire {
using U32 = std::uint32_t;
using U64 = std::uint64_t;
using STR = std::string;
}  // namespace wire

enum class MessageType : std::uint8_t {
  kNone = 0,  // of a packet without bytes
#define MESSAGE(name, number) k##name = number,
#define FIELD(type, name)
#define END_MESSAGE
#include "apis/wire/messages.def"
#undef MESSAGE
#undef FIELD
#undef END_MESSAGE
};

// The name of a message for logs; "unknown" for a number that has none.
const char* MessageName(MessageType type);

#define MESSAGE(name, number)                                  \
  struct name {                                                \
    static constexpr MessageType kType = MessageType::k##name; \
    template <typename Visitor>                                \
    void ForEachField(Visitor&& visit) {                       \
      VisitFields(*this, visit);                               \
    }                                                          \
    template <typename Visitor>                                \
    void ForEachField(Visitor&& visit) const {                 \
      VisitFields(*this, visit);                               \
    }                                                          \
    bool operator==(const name&) const = default;
#define FIELD(type, name) wire::type name = {};
#define END_MESSAGE                                    \
 private:                                              \
  template <typename Self, typename Visitor>           \
  static void VisitFields(Self& self, Visitor& visit); \
  }                                                    \
  ;
#include "apis/wire/messages.def"
#undef MESSAGE
#undef FIELD
#undef END_MESSAGE

#define MESSAGE(name, number)                \
  template <typename Self, typename Visitor> \
  void name::VisitFields([[maybe_unused]] Self& self, [[maybe_unused]] Visitor& visit) {
#define FIELD(type, name) visit(#name, self.name);
#define END_MESSAGE }
#include "apis/wire/messages.def"
#undef MESSAGE
#undef FIELD
#undef END_MESSAGE

namespace wire {

struct FieldWriter {
  WireWriter out;
  void operator()(const char*, U32 value) { out.U32(value); }
  void operator()(const char*, U64 value) { out.U64(value); }
  void operator()(const char*, const STR& value) { out.Str32(value); }
};

struct FieldReader {
  WireReader in;
  void operator()(const char*, U32& value) { value = in.U32(); }
  void operator()(const char*, U64& value) { value = in.U64(); }
  void operator()(const char*, STR& value) { value = in.Str32(); }
};

}  // namespace wire

// The type of the message in `packet`; it may be one that no message has.
inline MessageType TypeOf(std::string_view packet) {
  return packet.empty() ? MessageType::kNone
                        : MessageType{static_cast<std::uint8_t>(packet.front())};
}

template <typename M>
std::string EncodeMessage(const M& message) {
  std::string packet(1, static_cast<char>(M::kType));
  message.ForEachField(wire::FieldWriter{WireWriter(packet)});
  return packet;
}

template <typename M>
Result<M> DecodeMessage(std::string_view packet) {
  if (TypeOf(packet) != M::kType)
    return Error{ErrorCode::kProtocol, std::string("expected ") + MessageName(M::kType) + ", got " +
                                           MessageName(TypeOf(packet))};
  M message;
  wire::FieldReader reader{WireReader(packet.substr(1))};
  message.ForEachField(reader);
  if (!reader.in.AtEnd())
    return Error{ErrorCode::kProtocol, std::string("malformed ") + MessageName(M::kType)};
  return message;
}

// What a blank is to become.
enum class WorkerJob : std::uint32_t {
  kServe = 1,            // import the entry point, answer requests
  kCompile = 2,          // compile every module of the image without importing any
  kQuery = 3,            // run cloister-query: an app's SQL, on its files
  kQueryPostgresql = 4,  // run cloister-query-postgresql: an app's SQL, on a server
  kQueryMariadb = 5,     // the same with cloister-query-mariadb
};

}  // namespace cloister
