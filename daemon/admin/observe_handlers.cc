// What the node does right now: status, workers, logs.

#include <algorithm>
#include <array>
#include <charconv>

#include <nlohmann/json.hpp>

#include "apis/base/unicode.h"
#include "apis/wire/event_fields.h"
#include "config/log_query.h"
#include "daemon/admin/handlers.h"
#include "daemon/workers/process_memory.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kAnyNumber = ~std::uint64_t{0} - 1;

std::string Base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 3; ++j)
      bits = bits << 8 | (j < count ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    for (std::size_t j = 0; j < 4; ++j)
      text += j <= count ? kDigits[bits >> (18 - 6 * j) & 63] : '=';
  }
  return text;
}

const char* SourceName(LogSource source) {
  switch (source) {
    case LogSource::kStdout:
      return "stdout";
    case LogSource::kStderr:
      return "stderr";
    case LogSource::kLogging:
      return "logging";
    case LogSource::kRuntime:
      return "runtime";
  }
  return "unknown";
}

// The names of the logging module; other levels are shown as their number.
Json LevelJson(std::uint8_t level) {
  constexpr std::array<const char*, 5> kNames = {"debug", "info", "warning", "error", "critical"};
  if (level == 0)
    return {};
  if (level % 10 == 0 && level <= 50)
    return kNames[level / 10U - 1];
  return std::to_string(level);
}

// A name or value that a worker sent as text; JSON has nothing but UTF-8.
Json TextJson(std::string_view text) {
  return Utf8OrReplaced(text);
}

Json ValueJson(const EventValue& value) {
  if (const auto* truth = std::get_if<bool>(&value))
    return *truth;
  if (const auto* integer = std::get_if<std::int64_t>(&value))
    return *integer;
  if (const auto* real = std::get_if<double>(&value))
    return *real;
  if (const auto* text = std::get_if<std::string_view>(&value))
    return TextJson(*text);
  return {};
}

Json FieldsJson(std::string_view fields) {
  Json json = Json::object();
  // What lies on disk was checked when it came; a damaged record has been left out.
  if (const auto read = ReadEventFields(fields); read.ok())
    for (const EventField& field : read.value())
      json[Utf8OrReplaced(field.name)] = ValueJson(field.value);
  return json;
}

Json EventJson(const LogEvent& event) {
  Json json = {{"sequence", event.sequence},
               {"time", TimeText(event.time)},
               {"release", event.release},
               {"worker", event.worker.valid() ? Json(event.worker.number) : Json()},
               {"request_id", event.request_id},
               {"source", SourceName(event.source)},
               {"level", LevelJson(event.level)},
               {"logger", event.logger}};
  if (IsUtf8(event.bytes))
    json["text"] = event.bytes;
  else
    json["base64"] = Base64(event.bytes);
  if (!event.fields.empty())
    json["fields"] = FieldsJson(event.fields);
  if (event.check)
    json["check"] = true;
  if (event.redacted)
    json["redacted"] = true;
  if (event.cut)
    json["cut"] = true;
  if (event.lost > 0)
    json["lost"] = event.lost;
  return json;
}

Json WorkerJson(const WorkerInfo& worker) {
  return {{"id", worker.id.number},       {"app", worker.app.ToString()},
          {"version", worker.version},    {"pid", worker.pid},
          {"state", worker.state},        {"requests", worker.requests},
          {"age_ms", worker.age.count()}, {"memory_bytes", worker.memory_bytes},
          {"request", worker.request_id}, {"request_age_ms", worker.request_age.count()}};
}

Problem WrongParameter(std::string_view name, const Error& why) {
  return Problem{.code = ProblemCode::kQueryInvalid,
                 .detail = "the parameter '" + std::string(name) + "' " + why.message};
}

Outcome<LogFilter> ReadLogFilter(const Query& query, WallTime now) {
  LogFilter filter;
  filter.release = query.Text("release").value_or("");
  filter.request_id = query.Text("request").value_or("");
  if (const auto text = query.Text("since")) {
    const Result<WallTime> since = ReadSince(*text, now);
    if (!since.ok())
      return WrongParameter("since", since.error());
    filter.since = since.value();
  }
  if (const auto text = query.Text("level")) {
    const Result<std::uint8_t> level = ReadEventLevel(*text);
    if (!level.ok())
      return WrongParameter("level", level.error());
    filter.level = level.value();
  }
  return filter;
}

Outcome<LogQuery> ReadLogQuery(AppId app, const Query& query, WallTime now) {
  LogQuery wanted;
  wanted.app = app;
  const auto after = TRY(query.Number("after", kAnyNumber));
  wanted.tail = TRY(query.Number("tail", kAnyNumber));
  if (after && wanted.tail)
    return Problem{.code = ProblemCode::kQueryInvalid,
                   .detail = "'after' and 'tail' exclude each other"};
  wanted.after = after.value_or(0);
  const auto limit = TRY(query.Number("limit", kAnyNumber));
  wanted.limit = std::min<std::uint64_t>(limit.value_or(kLogLimitMax), kLogLimitMax);
  const auto wait = TRY(query.Number("wait_ms", 3600 * 1000));
  wanted.wait = Millis(wait.value_or(0));
  wanted.filter = TRY(ReadLogFilter(query, now));
  return wanted;
}

// A fact that is a number as one.
Json FactJson(const std::string& value) {
  std::uint64_t number = 0;
  const char* end = value.data() + value.size();
  const auto [stop, bad] = std::from_chars(value.data(), end, number);
  const bool is_number = bad == std::errc() && stop == end && std::to_string(number) == value;
  return is_number ? Json(number) : Json(value);
}

}  // namespace

void HandleStatus(AdminContext& context, const AdminRequest& /*request*/, const AdminReply& reply) {
  const Catalog& catalog = context.parts.releases.catalog();
  std::size_t live = 0;
  for (const auto& [name, app] : catalog.apps())
    live += app.live ? 1U : 0U;
  const WallTime now = context.parts.clock.Wall();
  Json status = {
      {"version", context.options.version},
      {"ready", catalog.open()},
      {"started_at", TimeText(context.options.started_at)},
      {"uptime_s", std::chrono::duration_cast<Seconds>(now - context.options.started_at).count()},
      {"tenants", catalog.tenants().size()},
      {"apps", catalog.apps().size()},
      {"live", live},
      {"workers", context.parts.workers.List().size()},
      {"log_events_lost", context.parts.logs.lost_total()},
  };
  Json facts = Json::object();
  if (context.options.facts)
    for (const auto& [name, value] : context.options.facts())
      facts[name] = FactJson(value);
  status["facts"] = std::move(facts);
  reply.Send(200, status);
}

void HandlePs(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  const std::optional<std::string> wanted = request.query.Text("app");
  if (wanted) {
    const Result<AppName> name = AppName::Parse(*wanted);
    if (!name.ok() || context.parts.releases.catalog().FindApp(name.value()) == nullptr)
      return reply.Fail(ProblemCode::kAppNotFound,
                        "there is no app '" + wanted->substr(0, 80) + "'");
  }
  std::vector<WorkerInfo> listed = context.parts.workers.List();
  if (wanted)
    std::erase_if(listed,
                  [&](const WorkerInfo& worker) { return worker.app.ToString() != *wanted; });
  MeasureMemory(listed);
  Json workers = Json::array();
  for (const WorkerInfo& worker : listed)
    workers.push_back(WorkerJson(worker));
  reply.Send(200, {{"workers", std::move(workers)}});
}

void HandleLogs(AdminContext& context, const AdminRequest& request, const AdminReply& reply) {
  const AppEntry* app = FindAppOrFail(context, request, reply);
  if (app == nullptr)
    return;
  const Outcome<LogQuery> query =
      ReadLogQuery(app->row.id, request.query, context.parts.clock.Wall());
  if (!query.ok())
    return reply.Fail(query.error());
  LogStore& logs = context.parts.logs;
  const LogReadId reading = logs.Read(query.value(), [reply](const Result<LogPage>& page) {
    if (!page.ok())
      return reply.Fail(ProblemOf(Error(page.error())));
    Json events = Json::array();
    for (const LogEvent& event : page.value().events)
      events.push_back(EventJson(event));
    reply.Send(
        200,
        {{"events", std::move(events)}, {"next", page.value().next}, {"lost", page.value().lost}});
  });
  reply.OnGone([&logs, reading] { logs.Cancel(reading); });
}

}  // namespace cloister
