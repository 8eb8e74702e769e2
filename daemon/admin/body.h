#pragma once

// Bodies and queries of admin requests: bounded, validated, and named in the errors.
//
// A body may lie in a file and be large, so it is taken out of the exchange and read by a job. JSON
// is read with bounds on depth and on the number of values, before anything is built of it; unknown
// fields are refused with the nearest name.

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "apis/base/unique_fd.h"
#include "daemon/admin/bounded_json.h"
#include "daemon/http/message.h"
#include "daemon/releases/problem.h"
#include "daemon/store/quota_rows.h"
#include "daemon/store/rows.h"

namespace cloister {

// A body that has left its exchange.
struct TakenBody {
  std::string bytes;
  UniqueFd file;
  std::uint64_t size = 0;
};

// Shared because jobs are copied; read by one of them.
std::shared_ptr<const TakenBody> TakeBody(Exchange& exchange);
// All of it. Blocking.
Result<std::string> ReadBody(const TakenBody& body);

// For lists of files: 20,000 of them, and some more so that the rule on their number is what fails.
inline constexpr JsonBounds kFileListBounds{.depth = 8, .values = 200000};

// A JSON object, or kJsonInvalid.
Outcome<nlohmann::json> ParseObject(std::string_view text, const JsonBounds& bounds);

// The members of a JSON object that are known by name.
class Fields {
 public:
  // kFieldUnknown for a member that is not in `known`. `where` is for messages: "", "files[3].".
  static Outcome<Fields> Of(const nlohmann::json& object,
                            std::initializer_list<std::string_view> known, std::string where = "");

  // kFieldInvalid when it is missing or of another type.
  Outcome<std::string> Text(std::string_view name) const;
  Outcome<std::uint64_t> Number(std::string_view name) const;
  Outcome<const nlohmann::json*> List(std::string_view name) const;
  // `missing` when it is.
  Outcome<std::string> OptionalText(std::string_view name, std::string_view missing) const;
  Outcome<std::uint64_t> OptionalNumber(std::string_view name, std::uint64_t missing) const;
  // False when it is missing.
  Outcome<bool> Flag(std::string_view name) const;
  // Null when it is missing.
  Outcome<const nlohmann::json*> OptionalList(std::string_view name) const;

 private:
  Fields(const nlohmann::json& object, std::string where)
      : object_(&object), where_(std::move(where)) {}
  Problem Wrong(std::string_view name, std::string_view why) const;
  const nlohmann::json* Find(std::string_view name) const;

  const nlohmann::json* object_;
  std::string where_;
};

// {"version": ...}; empty when it is missing.
Outcome<std::string> ParseVersionBody(std::string_view text);
// {"changes": [{"name": ..., "value": ...}]}; without a value it is as if it had never been set.
Outcome<std::vector<QuotaChange>> ParseQuotaChanges(std::string_view text);
// {"name": ...}.
Outcome<std::string> ParseName(std::string_view text);
// {"files": [{"sha256", "size"}]}.
Outcome<std::vector<ContentName>> ParseContentNames(std::string_view text);

struct TurnBody {
  std::string version;  // may be empty
  bool with_data = false;
  std::optional<std::uint64_t> snapshot = {};  // that is meant; none: the newest
};
// {"version", "with_data", "snapshot"}: all of them may be missing.
Outcome<TurnBody> ParseTurnBody(std::string_view text);

struct ReleaseBody {
  std::vector<ReleaseFile> files;
  bool allow_downgrade = false;
  std::size_t left_out = 0;
  ReleaseGoal goal = ReleaseGoal::kLive;
  std::uint32_t canary_percent = 0;
  Rehearsal rehearsal = Rehearsal::kYes;
};
// {"files": [{"path", "size", "sha256"}], "allow_downgrade", "left_out": [path],
//  "goal": "live" | "check" | "canary", "canary_percent": 1-99, "no_rehearsal"}.
Outcome<ReleaseBody> ParseReleaseBody(std::string_view text);

// The parameters of a query.
class Query {
 public:
  // kQueryInvalid for a parameter that is not in `known`, that is there twice, or that is not
  // percent-encoded as it should be.
  static Outcome<Query> Parse(std::string_view query, std::span<const std::string_view> known);

  std::optional<std::string> Text(std::string_view name) const;
  // Empty when it is not there; kQueryInvalid when it is no number up to `most`.
  Outcome<std::optional<std::uint64_t>> Number(std::string_view name, std::uint64_t most) const;
  // "1" or "true"; "0", "false" or not there.
  Outcome<bool> Flag(std::string_view name) const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace cloister
