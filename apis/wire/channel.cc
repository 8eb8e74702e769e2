#include "apis/wire/channel.h"

namespace cloister {
namespace {

void EncodeHeaders(const std::vector<WireHeader>& headers, WireWriter& out) {
  out.U16(static_cast<std::uint16_t>(headers.size()));
  for (const WireHeader& header : headers) {
    out.Str16(header.name);
    out.Str16(header.value);
  }
}

// False when there are more than kHeadersMax.
bool DecodeHeaders(WireReader& in, std::vector<WireHeader>& headers) {
  const std::size_t count = in.U16();
  if (count > kHeadersMax)
    return false;
  headers.reserve(count);
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    const std::string_view name = in.Str16();
    headers.push_back({.name = name, .value = in.Str16()});
  }
  return in.ok();
}

Error Malformed(const char* what) {
  return Error{ErrorCode::kProtocol, std::string("malformed ") + what};
}

}  // namespace

void RequestHead::Encode(WireWriter& out) const {
  out.U8(slot);
  out.U8(http_minor);
  out.U32(wall_ms);
  out.U64(content_length);
  out.Str16(method);
  out.Str16(target);
  out.Str16(scheme);
  out.Str16(server_name);
  out.Str16(server_port);
  out.Str16(remote_addr);
  out.Str16(remote_port);
  out.Str16(request_id);
  EncodeHeaders(headers, out);
}

Result<RequestHead> RequestHead::Decode(WireReader& in) {
  RequestHead head;
  head.slot = in.U8();
  head.http_minor = in.U8();
  head.wall_ms = in.U32();
  head.content_length = in.U64();
  head.method = in.Str16();
  head.target = in.Str16();
  head.scheme = in.Str16();
  head.server_name = in.Str16();
  head.server_port = in.Str16();
  head.remote_addr = in.Str16();
  head.remote_port = in.Str16();
  head.request_id = in.Str16();
  if (!DecodeHeaders(in, head.headers) || head.slot >= kInboxSlots)
    return Malformed("request head");
  return head;
}

void ResponseHead::Encode(WireWriter& out) const {
  out.U16(status);
  out.Str16(reason);
  EncodeHeaders(headers, out);
}

Result<ResponseHead> ResponseHead::Decode(WireReader& in) {
  ResponseHead head;
  head.status = in.U16();
  head.reason = in.Str16();
  if (!DecodeHeaders(in, head.headers))
    return Malformed("response head");
  return head;
}

void LogHead::Encode(WireWriter& out) const {
  out.U8(static_cast<std::uint8_t>(source));
  out.U8(level);
  out.Str16(logger);
  out.Str16(fields);
}

Result<LogHead> LogHead::Decode(WireReader& in) {
  LogHead head;
  const std::uint8_t source = in.U8();
  head.level = in.U8();
  head.logger = in.Str16();
  head.fields = in.Str16();
  if (!in.ok() || source > static_cast<std::uint8_t>(LogSource::kRuntime))
    return Malformed("log event");
  head.source = LogSource{source};
  return head;
}

void BootReport::Encode(WireWriter& out) const {
  out.Str16(code);
  out.Str32(message);
  out.Str16(file);
  out.U32(line);
  out.Str32(traceback);
}

Result<BootReport> BootReport::Decode(WireReader& in) {
  BootReport report;
  report.code = in.Str16();
  report.message = in.Str32();
  report.file = in.Str16();
  report.line = in.U32();
  report.traceback = in.Str32();
  if (!in.AtEnd())
    return Malformed("boot report");
  return report;
}

}  // namespace cloister
