#pragma once

// /healthz and /readyz, for whoever watches the node: on the admin socket, and on a listener of
// their own that needs no permission and says nothing else.
//
// healthz: this process runs its loop. readyz: it also serves, 503 while it starts and stops.

#include <functional>
#include <string_view>

#include "daemon/http/message.h"

namespace cloister {

class HealthHandler : public HttpHandler {
 public:
  explicit HealthHandler(std::function<bool()> is_ready) : is_ready_(std::move(is_ready)) {}

  void Handle(Exchange& exchange) override;
  Admission Admit(const HttpRequest& head) const override;

  static bool IsHealthPath(std::string_view path) {
    return path == "/healthz" || path == "/readyz";
  }

 private:
  std::function<bool()> is_ready_;
};

}  // namespace cloister
