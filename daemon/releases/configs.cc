#include "daemon/releases/configs.h"

#include <utility>
#include <vector>

#include "apis/wire/config_values.h"
#include "daemon/store/config_rows.h"

namespace cloister {

Result<SecretText> OpenSecret(AppId app, const ConfigValueRow& row, NodeKey& keys) {
  const std::shared_ptr<const SealKey> key = TRY(keys.ForOpening(row.key_id));
  Result<SecretText> opened = key->Open(ConfigPlaceOf(app, row.name), row.value);
  if (!opened.ok())
    return std::move(opened).error().In("the secret " + row.name);
  return opened;
}

Result<std::shared_ptr<const RunConfig>> ReadRunConfig(Database& db, AppId app,
                                                       std::uint64_t number, NodeKey& key) {
  const Transaction moment = TRY(Transaction::BeginRead(db));
  if (!TRY(FindConfigVersion(db, app, number)))
    return Error{ErrorCode::kNotFound, "the app has no config " + std::to_string(number)};
  const std::vector<ConfigValueRow> rows = TRY(ListConfigValues(db, app, number));
  std::vector<SecretText> opened;
  opened.reserve(rows.size());  // views into them stay
  std::vector<ConfigValue> values;
  std::vector<NamedSecret> secrets;
  for (const ConfigValueRow& row : rows) {
    opened.push_back(row.secret ? TRY(OpenSecret(app, row, key)) : SecretText(row.value));
    const std::string& value = opened.back().text();
    values.push_back({.name = row.name, .value = value, .secret = row.secret});
    if (row.secret)
      secrets.push_back({.name = row.name, .value = value});
  }
  auto config = std::make_shared<RunConfig>();
  config->number = number;
  std::size_t size = 0;
  for (const ConfigValue& value : values)
    size += 7 + value.name.size() + value.value.size();
  // At once: growing would leave copies behind.
  config->payload.text().reserve(size);
  EncodeConfig(config->payload.text(), values);
  config->redactor = Redactor::Create(secrets);
  return std::shared_ptr<const RunConfig>(std::move(config));
}

void Configs::LoadConfig(AppId app, std::uint64_t number, Done done) {
  state_.Read(
      app.number,
      [app, number, key = key_](Database& db) { return ReadRunConfig(db, app, number, *key); },
      std::move(done));
}

}  // namespace cloister
