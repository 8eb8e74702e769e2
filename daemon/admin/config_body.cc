#include "daemon/admin/config_body.h"

#include <string>
#include <utility>

#include <nlohmann/json.hpp>

namespace cloister {
namespace {

using Json = nlohmann::json;

// More keys than any quota allows.
constexpr JsonBounds kConfigBounds{.depth = 4, .values = 20000};

}  // namespace

Outcome<std::shared_ptr<const ConfigRequest>> ReadConfigBody(const TakenBody& body,
                                                             ConfigKind kind) {
  const SecretText text(TRY(ReadBody(body)));
  const Json json = TRY(ParseObject(text.text(), kConfigBounds));
  const Fields fields = TRY(Fields::Of(json, {"changes"}));
  const Json* rows = TRY(fields.List("changes"));
  auto request = std::make_shared<ConfigRequest>();
  request->kind = kind;
  for (const Json& row : *rows) {
    const std::string where = "changes[" + std::to_string(request->changes.size()) + "].";
    const Fields change = TRY(Fields::Of(row, {"name", "value"}, where));
    ConfigKeyChange& one = request->changes.emplace_back();
    one.name = TRY(change.Text("name"));
    one.unset = !row.contains("value");
    if (!one.unset)
      one.value = SecretText(TRY(change.Text("value")));
  }
  if (request->changes.empty())
    return Refused(ProblemCode::kFieldInvalid, "changes is empty");
  return std::shared_ptr<const ConfigRequest>(std::move(request));
}

Outcome<std::shared_ptr<const ConfigRequest>> ReadConfigRollback(const TakenBody& body) {
  const std::string text = TRY(ReadBody(body));
  const Json json = TRY(ParseObject(text, {}));
  const Fields fields = TRY(Fields::Of(json, {"version"}));
  auto request = std::make_shared<ConfigRequest>();
  request->back_to = TRY(fields.OptionalNumber("version", 0));
  return std::shared_ptr<const ConfigRequest>(std::move(request));
}

}  // namespace cloister
