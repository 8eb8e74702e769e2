#include "daemon/admin/body.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <system_error>
#include <utility>

#include <nlohmann/json.hpp>

#include "config/values.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

Problem Invalid(ProblemCode code, std::string detail) {
  return Problem{.code = code, .detail = std::move(detail)};
}

Outcome<Sha256> ReadHash(const Fields& fields, const std::string& where) {
  const std::string text = TRY(fields.Text("sha256"));
  const std::optional<Sha256> sha256 = Sha256::FromHex(text);
  if (!sha256)
    return Invalid(ProblemCode::kFieldInvalid,
                   where + "sha256 is not 64 hexadecimal digits of lower case");
  return *sha256;
}

std::string Where(std::size_t index) {
  return "files[" + std::to_string(index) + "].";
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

std::optional<std::string> PercentDecoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? HexDigit(text[i + 2]) : -1;
    if (high < 0 || low < 0)
      return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

Outcome<Done> ReadGoal(const Fields& fields, ReleaseBody& release) {
  const std::string name = TRY(fields.OptionalText("goal", "live"));
  const std::optional<ReleaseGoal> goal = ReleaseGoalOf(name);
  if (!goal)
    return Invalid(ProblemCode::kFieldInvalid, "goal must be live, check or canary");
  release.goal = *goal;
  const std::uint64_t percent = TRY(fields.OptionalNumber("canary_percent", 0));
  const bool fits = *goal == ReleaseGoal::kCanary ? percent >= 1 && percent <= 99 : percent == 0;
  if (!fits)
    return Invalid(ProblemCode::kFieldInvalid,
                   "canary_percent must be 1 to 99 for a canary, and is for canaries only");
  release.canary_percent = static_cast<std::uint32_t>(percent);
  return Done();
}

}  // namespace

std::shared_ptr<const TakenBody> TakeBody(Exchange& exchange) {
  HttpBody& body = exchange.request().body;
  auto taken = std::make_shared<TakenBody>();
  taken->bytes = body.bytes;
  taken->file = std::move(body.file);
  taken->size = body.size;
  return taken;
}

Result<std::string> ReadBody(const TakenBody& body) {
  if (!body.file.valid())
    return body.bytes;
  std::string bytes(body.size, '\0');
  std::size_t got = 0;
  while (got < bytes.size()) {
    const ssize_t count =
        ::pread(body.file.get(), bytes.data() + got, bytes.size() - got, static_cast<off_t>(got));
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return SystemError("reading a request's body", count == 0 ? EIO : errno);
    got += static_cast<std::size_t>(count);
  }
  return bytes;
}

Outcome<Json> ParseObject(std::string_view text, const JsonBounds& bounds) {
  Result<Json> parsed = ParseBoundedJson(text, bounds);
  if (!parsed.ok())
    return Invalid(ProblemCode::kJsonInvalid, "the body is " + parsed.error().message);
  if (!parsed.value().is_object())
    return Invalid(ProblemCode::kJsonInvalid, "the body is not a JSON object");
  return std::move(parsed).value();
}

Outcome<Fields> Fields::Of(const Json& object, std::initializer_list<std::string_view> known,
                           std::string where) {
  if (!object.is_object())
    return Invalid(
        ProblemCode::kFieldInvalid,
        (where.empty() ? "the body" : where.substr(0, where.size() - 1)) + " is not an object");
  const std::span<const std::string_view> names(known.begin(), known.size());
  for (const auto& [name, value] : object.items())
    if (std::find(names.begin(), names.end(), name) == names.end())
      return Invalid(ProblemCode::kFieldUnknown,
                     "unknown field '" + where + name.substr(0, 80) + "'" + NameHint(name, names));
  return Fields(object, std::move(where));
}

Problem Fields::Wrong(std::string_view name, std::string_view why) const {
  return Invalid(ProblemCode::kFieldInvalid, where_ + std::string(name) + " " + std::string(why));
}

const Json* Fields::Find(std::string_view name) const {
  const auto found = object_->find(name);
  return found == object_->end() ? nullptr : &*found;
}

Outcome<std::string> Fields::Text(std::string_view name) const {
  const Json* value = Find(name);
  if (value == nullptr || !value->is_string())
    return Wrong(name, value == nullptr ? "is missing" : "is not a string");
  return value->get_ref<const std::string&>();
}

Outcome<std::uint64_t> Fields::Number(std::string_view name) const {
  const Json* value = Find(name);
  if (value == nullptr || !value->is_number_unsigned())
    return Wrong(name, value == nullptr ? "is missing" : "is not a whole number from 0 on");
  return value->get<std::uint64_t>();
}

Outcome<std::string> Fields::OptionalText(std::string_view name, std::string_view missing) const {
  return Find(name) == nullptr ? std::string(missing) : Text(name);
}

Outcome<std::uint64_t> Fields::OptionalNumber(std::string_view name, std::uint64_t missing) const {
  return Find(name) == nullptr ? missing : Number(name);
}

Outcome<const Json*> Fields::OptionalList(std::string_view name) const {
  const Json* value = Find(name);
  if (value != nullptr && !value->is_array())
    return Wrong(name, "is not a list");
  return value;
}

Outcome<const Json*> Fields::List(std::string_view name) const {
  const Json* value = TRY(OptionalList(name));
  if (value == nullptr)
    return Wrong(name, "is missing");
  return value;
}

Outcome<bool> Fields::Flag(std::string_view name) const {
  const Json* value = Find(name);
  if (value == nullptr)
    return false;
  if (!value->is_boolean())
    return Wrong(name, "is not true or false");
  return value->get<bool>();
}

Outcome<std::string> ParseName(std::string_view text) {
  const Json body = TRY(ParseObject(text, {}));
  const Fields fields = TRY(Fields::Of(body, {"name"}));
  return fields.Text("name");
}

Outcome<std::vector<QuotaChange>> ParseQuotaChanges(std::string_view text) {
  const Json body = TRY(ParseObject(text, {}));
  const Fields fields = TRY(Fields::Of(body, {"changes"}));
  const Json* rows = TRY(fields.List("changes"));
  std::vector<QuotaChange> changes;
  for (const Json& row : *rows) {
    const std::string where = "changes[" + std::to_string(changes.size()) + "].";
    const Fields change = TRY(Fields::Of(row, {"name", "value"}, where));
    QuotaChange& one = changes.emplace_back();
    one.name = TRY(change.Text("name"));
    if (row.contains("value"))
      one.value = TRY(change.Text("value"));
  }
  return changes;
}

Outcome<std::vector<ContentName>> ParseContentNames(std::string_view text) {
  const Json body = TRY(ParseObject(text, kFileListBounds));
  const Fields fields = TRY(Fields::Of(body, {"files"}));
  const Json* rows = TRY(fields.List("files"));
  std::vector<ContentName> names;
  names.reserve(rows->size());
  for (const Json& row : *rows) {
    const std::string where = Where(names.size());
    const Fields file = TRY(Fields::Of(row, {"sha256", "size"}, where));
    names.push_back({.sha256 = TRY(ReadHash(file, where)), .size = TRY(file.Number("size"))});
  }
  return names;
}

Outcome<std::string> ParseVersionBody(std::string_view text) {
  const Json body = TRY(ParseObject(text, {}));
  const Fields fields = TRY(Fields::Of(body, {"version"}));
  return fields.OptionalText("version", "");
}

Outcome<TurnBody> ParseTurnBody(std::string_view text) {
  const Json body = TRY(ParseObject(text, {}));
  const Fields fields = TRY(Fields::Of(body, {"version", "with_data", "snapshot"}));
  TurnBody turn;
  turn.version = TRY(fields.OptionalText("version", ""));
  turn.with_data = TRY(fields.Flag("with_data"));
  if (body.contains("snapshot"))
    turn.snapshot = TRY(fields.Number("snapshot"));
  return turn;
}

Outcome<ReleaseBody> ParseReleaseBody(std::string_view text) {
  const Json body = TRY(ParseObject(text, kFileListBounds));
  const Fields fields = TRY(Fields::Of(
      body, {"files", "allow_downgrade", "left_out", "goal", "canary_percent", "no_rehearsal"}));
  ReleaseBody release;
  TRY(ReadGoal(fields, release));
  if (TRY(fields.Flag("no_rehearsal")))
    release.rehearsal = Rehearsal::kNo;
  release.allow_downgrade = TRY(fields.Flag("allow_downgrade"));
  if (const Json* left_out = TRY(fields.OptionalList("left_out")); left_out != nullptr)
    release.left_out = left_out->size();
  const Json* rows = TRY(fields.List("files"));
  release.files.reserve(rows->size());
  for (const Json& row : *rows) {
    const std::string where = Where(release.files.size());
    const Fields file = TRY(Fields::Of(row, {"path", "size", "sha256"}, where));
    auto& added = release.files.emplace_back();
    added.path = TRY(file.Text("path"));
    added.sha256 = TRY(ReadHash(file, where));
    added.size = TRY(file.Number("size"));
  }
  return release;
}

Outcome<Query> Query::Parse(std::string_view query, std::span<const std::string_view> known) {
  Query parsed;
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
    if (pair.empty())
      continue;
    const std::size_t equals = pair.find('=');
    const std::optional<std::string> name = PercentDecoded(pair.substr(0, equals));
    const std::optional<std::string> value =
        equals == std::string_view::npos ? "" : PercentDecoded(pair.substr(equals + 1));
    if (!name || !value)
      return Invalid(ProblemCode::kQueryInvalid, "the query is not percent-encoded");
    if (std::find(known.begin(), known.end(), *name) == known.end())
      return Invalid(ProblemCode::kQueryInvalid,
                     "unknown parameter '" + name->substr(0, 80) + "'" +
                         (known.empty() ? "; this route has none" : NameHint(*name, known)));
    if (!parsed.values_.emplace(*name, *value).second)
      return Invalid(ProblemCode::kQueryInvalid, "the parameter '" + *name + "' is there twice");
  }
  return parsed;
}

std::optional<std::string> Query::Text(std::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end())
    return std::nullopt;
  return found->second;
}

Outcome<std::optional<std::uint64_t>> Query::Number(std::string_view name,
                                                    std::uint64_t most) const {
  const std::optional<std::string> text = Text(name);
  if (!text)
    return std::optional<std::uint64_t>();
  std::uint64_t number = 0;
  const char* end = text->data() + text->size();
  const auto [stop, bad] = std::from_chars(text->data(), end, number);
  if (bad != std::errc() || stop != end || number > most)
    return Invalid(ProblemCode::kQueryInvalid, "the parameter '" + std::string(name) +
                                                   "' is not a number from 0 to " +
                                                   std::to_string(most));
  return std::optional<std::uint64_t>(number);
}

Outcome<bool> Query::Flag(std::string_view name) const {
  const std::string text = Text(name).value_or("0");
  if (text == "1" || text == "true")
    return true;
  if (text == "0" || text == "false")
    return false;
  return Invalid(ProblemCode::kQueryInvalid,
                 "the parameter '" + std::string(name) + "' is neither 0 nor 1");
}

}  // namespace cloister
