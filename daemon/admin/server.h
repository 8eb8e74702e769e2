#pragma once

// The HttpHandler of the admin socket: who may ask, which route it is, and the handler's call.
//
// The peer's credentials decide (Operators); everybody else gets 403 not_operator, whatever the
// path. /healthz and /readyz are answered to anybody. Runs on the loop thread.

#include <cstddef>
#include <memory>

#include "daemon/admin/call.h"
#include "daemon/admin/handlers.h"
#include "daemon/admin/health.h"
#include "daemon/admin/operators.h"
#include "daemon/http/message.h"

namespace cloister {

class AdminServer : public HttpHandler {
 public:
  // `operators` and the parts must outlive this.
  AdminServer(const AdminParts& parts, AdminOptions options, Operators& operators);

  void Handle(Exchange& exchange) override;
  Admission Admit(const HttpRequest& head) const override;

  // Requests that wait for an answer.
  std::size_t pending() const { return calls_->size(); }

 private:
  AdminContext context_;
  Operators& operators_;
  HealthHandler health_;
  std::shared_ptr<AdminCalls> calls_;
};

}  // namespace cloister
