#include "sandbox/zygote/clone.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "apis/base/unique_fd.h"
#include "sandbox/steps/namespaces.h"

namespace cloister {
namespace {

Result<void> WriteProcFile(const std::string& path, const std::string& text) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.valid())
    return SystemError("opening " + path);
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return SystemError("writing '" + text + "' to " + path);
  return {};
}

}  // namespace

Result<unsigned> CountThreads() {
  struct stat status = {};
  if (::stat("/proc/self/task", &status) != 0)
    return SystemError("counting threads");
  // The directory itself and its parent's entry, then one a thread.
  return static_cast<unsigned>(status.st_nlink) - 2;
}

Result<pid_t> CloneForParent() {
  // Without these the child's glibc would go on with the zygote's thread id.
  int* thread_id = nullptr;
  if (::prctl(PR_GET_TID_ADDRESS, &thread_id) != 0)
    return SystemError("PR_GET_TID_ADDRESS");
  const unsigned long flags = kWorkerNamespaces | CLONE_PARENT | CLONE_CHILD_SETTID |
                              CLONE_CHILD_CLEARTID | static_cast<unsigned long>(SIGCHLD);
  const long pid = ::syscall(SYS_clone, flags, nullptr, nullptr, thread_id, nullptr);
  if (pid < 0)
    return SystemError("clone");
  return static_cast<pid_t>(pid);
}

Result<void> WriteIdMaps(pid_t child, WorkerIdentity identity, std::uint32_t host_uid) {
  const std::string directory = "/proc/" + std::to_string(child) + "/";
  const bool shared = identity == WorkerIdentity::kSharedUid;
  if (shared)
    TRY(WriteProcFile(directory + "setgroups", "deny"));
  const std::uint32_t uid = shared ? ::geteuid() : host_uid;
  const std::uint32_t gid = shared ? ::getegid() : host_uid;
  TRY(WriteProcFile(directory + "uid_map", "0 " + std::to_string(uid) + " 1"));
  return WriteProcFile(directory + "gid_map", "0 " + std::to_string(gid) + " 1");
}

}  // namespace cloister
