#pragma once

// The node's end of one worker, for tests: starts the real runtime in a forked child, without
// walls, on a socket pair, and speaks frames with it. Blocking; every wait ends after kPatience.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "apis/base/unique_fd.h"
#include "apis/base/units.h"
#include "apis/wire/channel.h"
#include "apis/wire/frame.h"
#include "apis/wire/messages.h"
#include "sandbox/image/image.h"

namespace cloister::testing {

inline constexpr std::chrono::seconds kPatience{20};

// The files of a bundle: path and contents.
using Files = std::map<std::string, std::string>;

// Adds a folder or file of the machine below `as` in the bundle.
void AddFromDisk(Files& files, const std::string& path, const std::string& as);
// Adds packages of /usr/lib/python3/dist-packages below site-packages/.
void AddPackages(Files& files, const std::vector<std::string>& names);

struct ReceivedLog {
  std::uint32_t id = 0;
  LogSource source = LogSource::kStdout;
  std::uint8_t level = 0;
  std::string logger;
  std::string bytes;
  std::string fields;  // as of apis/wire/event_fields.h
};

struct ReceivedReport {
  std::string code;
  std::string message;
  std::string file;
  std::uint32_t line = 0;
  std::string traceback;
};

struct ReceivedResponse {
  int status = 0;
  std::string reason;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  bool ended = false;
  bool aborted = false;
  std::string abort_reason;
  int frames = 0;
};

struct TestRequest {
  std::string method = "GET";
  std::string target = "/";
  std::vector<std::pair<std::string, std::string>> headers = {{"host", "hello.demo.localhost"}};
  std::string body = {};
  bool with_length = true;  // a content-length header, as for a body that is not chunked
  bool split_body = false;  // kRequestBody frames even for a small body
  bool unknown_length = false;
  bool body_comes_later = false;  // the test sends the frames of the body
  std::uint32_t wall_ms = 30000;
  bool for_runtime = false;
};

struct StartOptions {
  WorkerJob job = WorkerJob::kServe;
  std::string entry = "hello:application";
  std::string environment = {};
  std::string module_rules = {};
  Bytes memory_max = MiB(64);
  std::map<std::string, std::string> code = {};  // bytecode by path
  bool rehearses = true;                         // as blanks do, unless they are in a hurry
  std::map<std::string, std::string> config = {};
  std::set<std::string> secrets = {};  // of the names in config
};

class FakeNode {
 public:
  FakeNode(const Files& files, const StartOptions& options);
  FakeNode(const FakeNode&) = delete;
  FakeNode& operator=(const FakeNode&) = delete;
  ~FakeNode();  // kills what still runs

  // Waits for kReady (true) or kBootFailed (false: see report()). The end of the channel is false
  // without a report.
  bool WaitReady();
  const std::optional<ReceivedReport>& report() const { return report_; }
  std::uint64_t boot_us() const { return boot_us_; }

  // Offers and sends; does not wait.
  std::uint32_t Send(const TestRequest& request);
  // Sends several in one write.
  std::vector<std::uint32_t> SendTogether(const std::vector<TestRequest>& requests);
  ReceivedResponse WaitResponse(std::uint32_t id);
  ReceivedResponse Ask(const TestRequest& request) { return WaitResponse(Send(request)); }
  // What came for `id` so far.
  const ReceivedResponse& SoFar(std::uint32_t id) { return responses_[id]; }
  // Handles frames until `done` or the channel ends. False: it ended.
  template <typename Done>
  bool PumpUntil(Done done) {
    while (!done())
      if (!Pump())
        return false;
    return true;
  }

  void SendFrame(const Frame& frame);
  // Calls as they come, whole: id, number and arguments. Empty: each is kept in calls().
  std::function<void(std::uint32_t, std::string_view)> on_call;
  const std::vector<std::pair<std::uint32_t, std::string>>& calls() const { return calls_; }
  void Reply(std::uint32_t call, std::string_view reply);
  void SendConfig(const std::map<std::string, std::string>& config,
                  const std::set<std::string>& secrets = {});
  void SendBytes(std::string_view bytes);
  void CloseChannel() { channel_.Reset(); }
  // Whether credit for responses is given as their bytes arrive. On at first.
  void GiveCredit(bool on) { gives_credit_ = on; }
  void Signal(int number) const;
  // SIGXCPU until the worker says something: one that comes just before it waits wakes nobody.
  void Interrupt() const;
  // The exit status as of waitpid, after the process has ended.
  int WaitExit();

  InboxPage& inbox() { return *inbox_; }
  int channel() const { return channel_.get(); }
  pid_t pid() const { return pid_; }
  const std::vector<ReceivedLog>& logs() const { return logs_; }
  std::string LogText() const;  // all events, joined
  const std::map<std::string, std::string>& code() const { return code_; }
  const std::map<std::string, std::uint32_t>& refused() const { return refused_; }
  std::uint64_t body_credit() const { return body_credit_; }

 private:
  bool Pump();
  void Handle(const Frame& frame);
  void HandleLog(const Frame& frame);
  void HandleReport(const Frame& frame);
  void HandleResponse(const Frame& frame);
  void SendPart(std::string& frames, const TestRequest& request, std::uint32_t id);

  UniqueFd channel_;
  InboxPage* inbox_ = nullptr;
  pid_t pid_ = -1;
  std::string received_;
  std::vector<std::pair<std::uint32_t, std::string>> calls_;
  std::string call_;  // the beginning of one
  std::uint32_t next_id_ = 1;
  std::size_t next_slot_ = 0;
  bool gives_credit_ = true;

  bool ready_ = false;
  std::uint64_t boot_us_ = 0;
  std::optional<ReceivedReport> report_;
  std::map<std::uint32_t, ReceivedResponse> responses_;
  std::vector<ReceivedLog> logs_;
  bool log_goes_on_ = false;
  std::map<std::string, std::string> code_;
  std::map<std::string, std::uint32_t> refused_;
  std::uint64_t body_credit_ = 0;
};

// Runs the compile job over `files`; its code, or an empty map.
std::map<std::string, std::string> CompileFiles(const Files& files);

// A worker that serves `hello.py` with the given source, and is ready.
std::unique_ptr<FakeNode> Serve(const std::string& hello_source);
std::unique_ptr<FakeNode> Serve(const Files& files, const StartOptions& options = {});

}  // namespace cloister::testing
