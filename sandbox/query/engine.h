#pragma once

// What runs an app's statements: one implementation for each kind of database.
//
// A statement is answered at once or later, by the turns that the server's loop gives. An engine
// that waits for descriptors names them for the loop's next wait.

#include <poll.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/result.h"
#include "apis/query/packets.h"
#include "apis/query/quota.h"
#include "sandbox/query/meter.h"

namespace cloister {

// The way of answers back to workers.
class QueryAnswers {
 public:
  virtual ~QueryAnswers() = default;
  // To the statement `id` of that worker.
  virtual void Answer(std::uint64_t link, std::uint32_t id, std::string_view reply) = 0;
};

class QueryEngine {
 public:
  struct Asked {
    std::uint64_t link = 0;  // the worker
    std::uint32_t id = 0;
    std::string statement;  // an encoded QueryStatement
    int socket = -1;        // the worker's, open until Forget: a hang-up says that nobody waits
  };

  virtual ~QueryEngine() = default;
  virtual void SetQuota(const QueryQuota& quota) = 0;
  // False: it is no statement, and there is no answer.
  virtual bool Execute(Asked asked, QueryAnswers& answers) = 0;
  // Whether that session of the worker has a transaction.
  virtual bool HasTransaction(std::uint64_t link, std::uint64_t session) const = 0;
  // That worker is gone: its transactions are rolled back, and nothing of it is answered.
  virtual void Forget(std::uint64_t link) = 0;

  // Appends what the loop is to wait for.
  virtual void Watch(std::vector<pollfd>& /*watched*/) const {}
  // After each wait. `polled`: what Watch appended, in that order. An Error: the database is lost,
  // and the process of no more use.
  virtual Result<void> Turn(std::span<const pollfd> polled, SteadyTime now,
                            QueryAnswers& answers) = 0;
  // When it wants a turn though nothing has come; max: never.
  virtual SteadyTime next_turn(SteadyTime now) const = 0;
  // Whether something is open that ends with the process.
  virtual bool is_busy() const = 0;
  // Of now, and of what happened since the last call.
  virtual QueryUse TakeUse(SteadyTime now) = 0;
  // Whether that has changed though no statement was answered.
  virtual bool TakeNews() { return false; }
};

}  // namespace cloister
