#include "daemon/admin/bounded_json.h"

#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace cloister {
namespace {

using Json = nlohmann::json;

// Builds a value from the parser's events; every function says whether to go on.
class Builder : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(const JsonBounds& bounds) : bounds_(bounds) {}

  bool null() override { return Add(Json()) != nullptr; }
  bool boolean(bool value) override { return Add(value) != nullptr; }
  bool number_integer(number_integer_t value) override { return Add(value) != nullptr; }
  bool number_unsigned(number_unsigned_t value) override { return Add(value) != nullptr; }
  bool number_float(number_float_t value, const string_t& /*text*/) override {
    return Add(value) != nullptr;
  }
  bool string(string_t& value) override { return Add(std::move(value)) != nullptr; }
  bool binary(binary_t& /*value*/) override { return false; }  // JSON has none
  bool start_object(std::size_t /*size*/) override { return Open(Json::object()); }
  bool start_array(std::size_t /*size*/) override { return Open(Json::array()); }
  bool key(string_t& name) override {
    name_ = std::move(name);
    return true;
  }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*why*/) override {
    error_position_ = position;
    return false;
  }

  bool over_a_bound() const { return over_; }
  std::size_t error_position() const { return error_position_; }
  Json TakeRoot() { return std::move(root_); }

 private:
  // Where the value now stands; null when it is one too many.
  Json* Add(Json value) {
    if (++values_ > bounds_.values) {
      over_ = true;
      return nullptr;
    }
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *open_.back();
    if (parent.is_object()) {
      Json& member = parent[name_];
      member = std::move(value);
      return &member;
    }
    parent.push_back(std::move(value));
    return &parent.back();
  }

  bool Open(Json empty) {
    over_ = over_ || open_.size() >= bounds_.depth;
    Json* added = over_ ? nullptr : Add(std::move(empty));
    if (added == nullptr)
      return false;
    // The parents of what is open do not grow meanwhile, so the pointers stay good.
    open_.push_back(added);
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  JsonBounds bounds_;
  Json root_;
  std::vector<Json*> open_;
  std::string name_;
  std::size_t values_ = 0;
  std::size_t error_position_ = 0;
  bool over_ = false;
};

}  // namespace

Result<Json> ParseBoundedJson(std::string_view text, const JsonBounds& bounds) {
  Builder builder(bounds);
  if (Json::sax_parse(text.begin(), text.end(), &builder))
    return builder.TakeRoot();
  if (builder.over_a_bound())
    return Error{ErrorCode::kQuotaExceeded, "nested too deeply, or too many values"};
  return Error{ErrorCode::kInvalidArgument,
               "not JSON, at byte " + std::to_string(builder.error_position())};
}

}  // namespace cloister
