#include "apis/wire/event_fields.h"

#include <bit>

#include "apis/wire/codec.h"

namespace cloister {
namespace {

enum class Kind : std::uint8_t { kNone, kFalse, kTrue, kInteger, kReal, kText };

void Write(WireWriter& out, Kind kind) {
  out.U8(static_cast<std::uint8_t>(kind));
}

struct ValueWriter {
  WireWriter& out;

  void operator()(std::monostate /*none*/) { Write(out, Kind::kNone); }
  void operator()(bool truth) { Write(out, truth ? Kind::kTrue : Kind::kFalse); }
  void operator()(std::int64_t integer) {
    Write(out, Kind::kInteger);
    out.U64(static_cast<std::uint64_t>(integer));
  }
  void operator()(double real) {
    Write(out, Kind::kReal);
    out.U64(std::bit_cast<std::uint64_t>(real));
  }
  void operator()(std::string_view text) {
    Write(out, Kind::kText);
    out.Str16(text);
  }
};

Error Malformed() {
  return Error{ErrorCode::kProtocol, "malformed fields of a log event"};
}

Result<EventValue> ReadValue(WireReader& in) {
  switch (Kind{in.U8()}) {
    case Kind::kNone:
      return EventValue();
    case Kind::kFalse:
      return EventValue(false);
    case Kind::kTrue:
      return EventValue(true);
    case Kind::kInteger:
      return EventValue(static_cast<std::int64_t>(in.U64()));
    case Kind::kReal:
      return EventValue(std::bit_cast<double>(in.U64()));
    case Kind::kText:
      return EventValue(in.Str16());
  }
  return Malformed();
}

}  // namespace

std::string EncodeEventFields(const std::vector<EventField>& fields) {
  std::string bytes;
  WireWriter out(bytes);
  for (const EventField& field : fields) {
    out.Str16(field.name);
    std::visit(ValueWriter{out}, field.value);
  }
  return bytes;
}

Result<std::vector<EventField>> ReadEventFields(std::string_view bytes) {
  std::vector<EventField> fields;
  if (bytes.size() > kEventFieldsBytesMax)
    return Malformed();
  WireReader in(bytes);
  while (in.ok() && !in.AtEnd()) {
    if (fields.size() == kEventFieldsMax)
      return Malformed();
    const std::string_view name = in.Str16();
    fields.push_back({.name = name, .value = TRY(ReadValue(in))});
  }
  if (!in.ok())
    return Malformed();
  return fields;
}

}  // namespace cloister
