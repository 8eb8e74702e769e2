#include "daemon/cli/api.h"

#include <fmt/format.h>

#include <algorithm>

#include <nlohmann/json.hpp>

namespace cloister {
namespace {

using Json = nlohmann::json;

constexpr Millis kSilence{60000};
// The quota query.statement says when it ends.
constexpr Millis kStatementWait{24 * 3600 * 1000};

// What the command line knows of a code beyond what the node says. Without advice where the node's
// detail has it: what follows a "; ". A test holds `exit` against the node's own table.
struct CodeRow {
  std::string_view code;
  ExitCode exit = ExitCode::kFailed;
  std::string_view advice;
};

constexpr CodeRow kCodes[] = {
    {"not_operator", ExitCode::kRefused,
     "run this as root, as the node's own user, or as a member of the group 'cloister'"},
    {"tenant_not_found", ExitCode::kFailed,
     "`cloister tenants list` shows them; make one with `cloister tenants create NAME`"},
    {"app_not_found", ExitCode::kFailed, "`cloister apps list` shows them"},
    {"shells_full", ExitCode::kRefused, "leave one of the shells that are open on it"},
    {"release_not_found", ExitCode::kFailed, "`cloister releases APP` shows them"},
    {"tenant_exists", ExitCode::kFailed, "`cloister tenants list` shows them"},
    {"tenant_not_empty", ExitCode::kRefused, ""},
    {"app_exists", ExitCode::kFailed,
     "`cloister apps list` shows them; `cloister deploy` makes a release of it"},
    {"app_not_empty", ExitCode::kRefused, "--force deletes it with all of that, for good"},
    {"name_invalid", ExitCode::kUsage, ""},
    {"quota_unknown", ExitCode::kUsage, "`cloister quota show` lists them"},
    {"quota_invalid", ExitCode::kUsage, "docs/quotas.md says what each can be"},
    {"quota_too_low", ExitCode::kRefused, ""},
    {"config_invalid", ExitCode::kUsage, "docs/apps/config.md says what keys and values can be"},
    {"config_kind", ExitCode::kRefused,
     "a secret: `cloister secrets set APP KEY`, `cloister secrets unset APP KEY`; a plain value: "
     "`cloister config set APP KEY=VALUE`, `cloister config unset APP KEY`"},
    {"config_key_not_found", ExitCode::kFailed, "`cloister config list APP` lists them"},
    {"config_version_not_found", ExitCode::kFailed, "`cloister config history APP` lists them"},
    {"config_required", ExitCode::kRefused, ""},
    {"config_missing", ExitCode::kRefused, ""},
    {"config_full", ExitCode::kRefused, "`cloister quota show APP` shows what is used"},
    {"config_unreadable", ExitCode::kFailed,
     "an operator must put the node's key back; without it, set all secrets of the app in one "
     "command: cloister secrets set APP KEY KEY..."},
    {"field_invalid", ExitCode::kUsage, ""},
    {"field_unknown", ExitCode::kUsage, "is the node older than this command?"},
    {"query_invalid", ExitCode::kUsage, ""},
    {"bundle_refused", ExitCode::kRefused, "rename the file, or name it in .cloisterignore"},
    {"bundle_too_large", ExitCode::kRefused, "name what the app does not need in .cloisterignore"},
    {"content_too_large", ExitCode::kRefused, "name what the app does not need in .cloisterignore"},
    {"manifest_invalid", ExitCode::kRefused, "docs/manifest.md describes every key"},
    {"version_taken", ExitCode::kRefused, ""},
    {"version_lower", ExitCode::kRefused, ""},
    {"nothing_live", ExitCode::kRefused, ""},
    {"no_previous_release", ExitCode::kRefused, "`cloister releases APP` lists what there is"},
    {"release_not_servable", ExitCode::kRefused, "`cloister releases APP` lists what there is"},
    {"draining_full", ExitCode::kRefused, "`cloister releases APP` shows what they still do"},
    {"object_not_found", ExitCode::kFailed, "`cloister objects ls APP` lists the names"},
    {"object_in_use", ExitCode::kRefused, "remove the name: the object goes with the last one"},
    {"objects_full", ExitCode::kRefused, "`cloister quota show APP` shows what is used"},
    {"deploy_in_progress", ExitCode::kFailed,
     "wait for it: `cloister releases APP` shows a deploy, `cloister config history APP` a change "
     "of the config"},
    {"disk_full", ExitCode::kFailed, "an operator must make room in the node's state directory"},
    {"backup_without_key", ExitCode::kRefused,
     "leave out --with-node-key: the key is kept elsewhere, and must be saved there"},
    {"storage_unavailable", ExitCode::kFailed,
     "try again in some seconds; `cloister status` has what the server said last"},
    {"unavailable", ExitCode::kFailed, "try again in a moment"},
};

const CodeRow& RowOf(std::string_view code) {
  static constexpr CodeRow kUnknown;
  for (const CodeRow& row : kCodes)
    if (row.code == code)
      return row;
  return kUnknown;
}

// The problem's lists (paths, hashes), one entry a line.
std::string ListedFacts(const Json& problem) {
  constexpr std::size_t kShownMax = 10;
  std::string text;
  for (const auto& [key, value] : problem.items()) {
    if (!value.is_array())
      continue;
    for (std::size_t i = 0; i < std::min(value.size(), kShownMax); ++i)
      text += (value[i].is_string() ? value[i].get<std::string>() : Dump(value[i])) + "\n";
    if (value.size() > kShownMax)
      text += fmt::format("and {} more\n", value.size() - kShownMax);
  }
  return text;
}

// Of what the node says in one line, "what happened; what to do": the second part, which knows more
// than the table, as the advice.
void TakeAdvice(Failure& failure) {
  const std::size_t end = failure.what.rfind("; ");
  const bool is_advice =
      failure.advice.empty() || failure.what.find("`cloister ", end) != std::string::npos;
  if (end == std::string::npos || !is_advice)
    return;
  failure.advice = failure.what.substr(end + 2);
  failure.what.resize(end);
}

Failure ProblemFailure(const HttpReply& reply) {
  const Json problem = Json::parse(reply.body, nullptr, false);
  Failure failure;
  failure.code = TextOf(problem, "code");
  const std::string title = TextOf(problem, "title");
  const std::string detail = TextOf(problem, "detail");
  if (failure.code.empty()) {
    failure.code = "bad_answer";
    failure.what = fmt::format("the node answered with status {}", reply.status);
    failure.detail = reply.body.substr(0, 1000);
    return failure;
  }
  const CodeRow& row = RowOf(failure.code);
  failure.exit = row.exit;
  failure.advice = row.advice;
  const bool one_line = !detail.empty() && detail.find('\n') == std::string::npos;
  failure.what = one_line ? detail : title;
  TakeAdvice(failure);
  failure.detail = (one_line || detail.empty() ? "" : detail + "\n") + ListedFacts(problem);
  if (const std::string id = TextOf(problem, "request_id"); reply.status >= 500 && !id.empty())
    failure.detail += "request " + id + " in the node's log";
  return failure;
}

Failure ClientFailure(Error error, const std::string& socket_path) {
  Failure failure{ExitCode::kFailed, "node_unreachable", std::move(error.message),
                  "admin socket: " + socket_path, ""};
  switch (error.code) {
    case ErrorCode::kPermissionDenied:
      failure.exit = ExitCode::kRefused;
      failure.code = "not_operator";
      failure.advice = RowOf(failure.code).advice;
      return failure;
    case ErrorCode::kDeadlineExceeded:
      failure.code = "node_silent";
      failure.advice = "see whether it is stopped or overloaded: `cloister status`, and its log";
      return failure;
    case ErrorCode::kProtocol:
      failure.code = "bad_answer";
      failure.advice = "is that the admin socket of a node of this version?";
      return failure;
    default:
      break;
  }
  if (error.code == ErrorCode::kNotFound)
    failure.what = "no node runs here: there is no socket at " + socket_path;
  failure.advice =
      "start a node with `cloisterd --config FILE` (or try one with ./packaging/quickstart); if it "
      "listens elsewhere, give its socket with --socket PATH or $CLOISTER_SOCKET";
  return failure;
}

const Json& Empty() {
  static const Json* const kEmpty = new Json();
  return *kEmpty;
}

// The member, or null when there is none.
const Json* Find(const Json& object, const char* key) {
  if (!object.is_object())
    return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

}  // namespace

ExitCode ExitCodeOf(std::string_view problem_code) {
  return RowOf(problem_code).exit;
}

Attempt<Json> AdminApi::Send(const HttpCall& call) {
  Result<HttpReply> sent = client_.Send(call);
  if (!sent.ok())
    return ClientFailure(std::move(sent).error(), client_.socket_path());
  const HttpReply reply = std::move(sent).value();
  if (reply.status >= 400)
    return ProblemFailure(reply);
  if (reply.body.empty())
    return Json::object();
  Json answer = Json::parse(reply.body, nullptr, false);
  if (answer.is_discarded())
    return Failure{ExitCode::kFailed, "bad_answer", "the node's answer is not JSON", call.target,
                   "is the node of another version than this command?"};
  return answer;
}

Attempt<Json> AdminApi::Get(const std::string& target, Millis wait) {
  return Send({.target = target, .silence_max = kSilence + wait});
}

Attempt<Json> AdminApi::Ask(const std::string& target, const Json& body) {
  const std::string text = Dump(body);
  return Send(
      {.method = "POST", .target = target, .content_type = "application/json", .body = text});
}

Attempt<Json> AdminApi::Post(const std::string& target, const Json& body) {
  const std::string text = Dump(body);
  return Send({.method = "POST",
               .target = target,
               .content_type = "application/json",
               .body = text,
               .repeat = HttpCall::Repeat::kNever});
}

Attempt<Json> AdminApi::PostBytes(const std::string& target, std::string_view bytes,
                                  std::function<void(std::uint64_t)> on_sent, Millis wait) {
  return Send({.method = "POST",
               .target = target,
               .content_type = "application/octet-stream",
               .body = bytes,
               .silence_max = kSilence + wait,
               .on_sent = std::move(on_sent)});
}

Attempt<std::string> AdminApi::SendForBytes(const HttpCall& call) {
  Result<HttpReply> sent = client_.Send(call);
  if (!sent.ok())
    return ClientFailure(std::move(sent).error(), client_.socket_path());
  HttpReply reply = std::move(sent).value();
  if (reply.status >= 400)
    return ProblemFailure(reply);
  return std::move(reply.body);
}

Attempt<std::string> AdminApi::GetBytes(const std::string& target) {
  return SendForBytes({.target = target, .silence_max = kSilence});
}

Attempt<std::string> AdminApi::PostSql(const std::string& target, std::string_view sql,
                                       int interrupt) {
  return SendForBytes({.method = "POST",
                       .target = target,
                       .content_type = "application/sql",
                       .body = sql,
                       .repeat = HttpCall::Repeat::kNever,
                       .silence_max = kStatementWait,
                       .interrupt = interrupt});
}

Attempt<std::unique_ptr<HttpClient>> AdminApi::Hold(const std::string& target) {
  auto holder = std::make_unique<HttpClient>(client_.socket_path());
  const Result<void> begun = holder->Begin({.target = target, .silence_max = kSilence});
  if (!begun.ok())
    return ClientFailure(Error(begun.error()), client_.socket_path());
  return holder;
}

Attempt<Json> AdminApi::Delete(const std::string& target) {
  return Send({.method = "DELETE", .target = target, .repeat = HttpCall::Repeat::kNever});
}

std::string PercentEncoded(std::string_view text) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
  std::string encoded;
  for (const char c : text)
    if (kPlain.find(c) != std::string_view::npos)
      encoded += c;
    else
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  return encoded;
}

std::string TenantTarget(std::string_view tenant, std::string_view rest) {
  return "/v1/tenants/" + std::string(tenant) + std::string(rest);
}

std::string AppTarget(const AppName& app, std::string_view rest) {
  return TenantTarget(app.tenant(), "/apps/" + app.app() + std::string(rest));
}

bool IsBrokenConnection(const Failure& failure) {
  return failure.code == "node_unreachable";
}

std::string TextOf(const Json& object, const char* key) {
  const Json* found = Find(object, key);
  return found != nullptr && found->is_string() ? found->get<std::string>() : "";
}

bool FlagOf(const Json& object, const char* key) {
  const Json* found = Find(object, key);
  return found != nullptr && found->is_boolean() && found->get<bool>();
}

std::uint64_t NumberOf(const Json& object, const char* key) {
  const Json* found = Find(object, key);
  if (found == nullptr || !found->is_number())
    return 0;
  if (found->is_number_float())
    return found->get<double>() > 0 ? static_cast<std::uint64_t>(found->get<double>()) : 0;
  return found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

const Json& ListOf(const Json& object, const char* key) {
  static const Json* const kNone = new Json(Json::array());
  const Json* found = Find(object, key);
  return found != nullptr && found->is_array() ? *found : *kNone;
}

const Json& ObjectOf(const Json& object, const char* key) {
  const Json* found = Find(object, key);
  return found != nullptr && found->is_object() ? *found : Empty();
}

std::string Dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace cloister
