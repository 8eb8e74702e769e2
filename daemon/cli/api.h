#pragma once

// The node's admin API as the commands use it: JSON in, JSON out, problems as Failures.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "apis/base/names.h"
#include "daemon/cli/client.h"
#include "daemon/cli/failure.h"

namespace cloister {

class AdminApi {
 public:
  explicit AdminApi(std::string socket_path) : client_(std::move(socket_path)) {}

  // `wait`: how long the node may hold the answer back (a long poll).
  Attempt<nlohmann::json> Get(const std::string& target, Millis wait = Millis(0));
  // For questions: sent again when the connection breaks.
  Attempt<nlohmann::json> Ask(const std::string& target, const nlohmann::json& body);
  // For changes: sent once.
  Attempt<nlohmann::json> Post(const std::string& target, const nlohmann::json& body);
  Attempt<nlohmann::json> PostBytes(const std::string& target, std::string_view bytes,
                                    std::function<void(std::uint64_t)> on_sent,
                                    Millis wait = Millis(0));
  // A statement for a shell on a database, and its answer as it is. `interrupt`: a descriptor that
  // ends the wait; -1: none.
  Attempt<std::string> PostSql(const std::string& target, std::string_view sql, int interrupt);
  // A request that is answered when what it holds has ended, or ends that with itself.
  Attempt<std::unique_ptr<HttpClient>> Hold(const std::string& target);
  // An answer that is no JSON, as it is.
  Attempt<std::string> GetBytes(const std::string& target);
  Attempt<nlohmann::json> Delete(const std::string& target);

 private:
  Attempt<nlohmann::json> Send(const HttpCall& call);
  Attempt<std::string> SendForBytes(const HttpCall& call);

  HttpClient client_;
};

// "/v1/tenants/T/apps/A", and what follows it.
std::string AppTarget(const AppName& app, std::string_view rest = "");
std::string TenantTarget(std::string_view tenant, std::string_view rest = "");
// A value in a query, as RFC 3986 section 2.1 writes it.
std::string PercentEncoded(std::string_view text);

// The exit code for a problem of the node, by its code.
ExitCode ExitCodeOf(std::string_view problem_code);

// Whether nothing more than the connection went wrong: worth another try.
bool IsBrokenConnection(const Failure& failure);

// --- Reading answers without trust in their shape: the empty value where a member is not there, or
// is of another kind.
std::string TextOf(const nlohmann::json& object, const char* key);
std::uint64_t NumberOf(const nlohmann::json& object, const char* key);
bool FlagOf(const nlohmann::json& object, const char* key);
const nlohmann::json& ListOf(const nlohmann::json& object, const char* key);
const nlohmann::json& ObjectOf(const nlohmann::json& object, const char* key);
std::string Dump(const nlohmann::json& value);

}  // namespace cloister
