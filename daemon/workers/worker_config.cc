#include "daemon/workers/worker_config.h"

#include <string_view>
#include <utility>

#include "apis/wire/config_values.h"

namespace cloister {
namespace {

// Beyond it a worker that is busy for long is replaced instead of being sent more.
constexpr std::size_t kUnreadMax = std::size_t{2} << 20;

}  // namespace

void WorkerConfig::Begin(std::shared_ptr<const RunConfig> config) {
  config_ = std::move(config);
  if (config_ != nullptr)
    log_.AddSecrets(config_->redactor);
}

void WorkerConfig::Send(FrameChannel& channel) {
  const std::string_view payload =
      config_ == nullptr ? std::string_view() : std::string_view(config_->payload.text());
  unread_ += payload.size();
  AppendConfigFrames(channel.out(), payload);
  channel.Touch();
}

void WorkerConfig::Deliver(std::shared_ptr<const RunConfig> config, FrameChannel* channel) {
  // What it knew it may say as long as it lives.
  const bool has_room = log_.AddSecrets(config->redactor) && unread_ <= kUnreadMax;
  worn_ = worn_ || !has_room;
  config_ = std::move(config);
  if (has_room && channel != nullptr)
    Send(*channel);
}

}  // namespace cloister
