#pragma once

// Apps' events in systemd's journal, beside their logs: `[log] journal = true`.
//
// Each event is one entry: MESSAGE, byte for byte, PRIORITY and CLOISTER_* fields, so that
// `journalctl CLOISTER_APP=demo/hello` finds them. Blocking while the journal takes nothing; used
// by the log store's thread alone. Without a journal nothing happens.

#include <span>
#include <string>
#include <vector>

#include "daemon/logs/log_event.h"

namespace cloister {

// An event's entry, "NAME=value" each, as sd_journal_sendv(3) takes them.
std::vector<std::string> JournalEntry(const LogEvent& event);

class EventJournal {
 public:
  // What the journal refuses stays in the apps' logs alone; the daemon's log tells of the first
  // such, until all of a later call went well.
  void Send(std::span<const LogEvent> events);

 private:
  bool failed_ = false;  // the last time
};

}  // namespace cloister
