#include "sandbox/host_walls.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <string>

#include "apis/base/unique_fd.h"
#include "sandbox/steps/landlock.h"

namespace cloister {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr unsigned kNobody = 65534;

// What ProbeHost says in a child that `prepare` has changed; "prepare" when that failed.
std::string ProbeAfter(const std::function<bool()>& prepare,
                       WorkerIdentity as_root = WorkerIdentity::kOwnUid) {
  int ends[2] = {-1, -1};
  if (::pipe(ends) != 0)
    return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    std::string said = "prepare";
    if (prepare()) {
      const bool own = ::geteuid() == 0 && as_root == WorkerIdentity::kOwnUid;
      const Result<HostWalls> walls = ProbeHost(
          own ? WorkerIdentity::kOwnUid : WorkerIdentity::kSharedUid, own ? kNobody : ::geteuid());
      said = walls.ok() ? "landlock " + std::to_string(walls.value().landlock_abi)
                        : walls.error().message;
    }
    ::_exit(::write(ends[1], said.data(), said.size()) < 0 ? 1 : 0);
  }
  ::close(ends[1]);
  char heard[1024] = {};
  const ssize_t count = ::read(ends[0], heard, sizeof heard - 1);
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return count < 0 ? "nothing" : heard;
}

// Dumpable again, as a process that nobody himself started is.
bool BecomeNobody() {
  return ::setgroups(0, nullptr) == 0 && ::setresgid(kNobody, kNobody, kNobody) == 0 &&
         ::setresuid(kNobody, kNobody, kNobody) == 0 && ::prctl(PR_SET_DUMPABLE, 1) == 0;
}

bool WriteTo(const char* path, const std::string& text) {
  const UniqueFd file(::open(path, O_WRONLY | O_CLOEXEC));
  return file.valid() &&
         ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// A user namespace of the child's own, in which its uid is as before, or root's.
bool EnterUserNamespace(const std::string& inside = std::to_string(::geteuid())) {
  const std::string uid = std::to_string(::geteuid());
  const std::string gid = std::to_string(::getegid());
  return ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && WriteTo("/proc/self/setgroups", "deny") &&
         WriteTo("/proc/self/uid_map", inside + " " + uid + " 1") &&
         WriteTo("/proc/self/gid_map", inside + " " + gid + " 1");
}

class HostWallsTest : public testing::Test {
 protected:
  void SetUp() override {
#ifdef CLOISTER_SANITIZED
    GTEST_SKIP() << "a sanitizer needs what a confined process lacks";
#endif
  }

  const std::string fine_ = "landlock " + std::to_string(LandlockAbi());
};

TEST_F(HostWallsTest, ThisHostHasAllWalls) {
  EXPECT_EQ(ProbeAfter([] { return true; }), fine_);
}

TEST_F(HostWallsTest, AnOrdinaryUserHasAllWallsToo) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "needs root, to become someone else";
  EXPECT_EQ(ProbeAfter(BecomeNobody), fine_);
}

TEST_F(HostWallsTest, RootOfAContainerOfOneUidHasAllWallsToo) {
  EXPECT_EQ(ProbeAfter([] { return EnterUserNamespace("0"); }, WorkerIdentity::kSharedUid), fine_);
}

TEST_F(HostWallsTest, InsideAChrootTheErrorSaysWhatToDo) {
  const std::string said = ProbeAfter([] {
    // Only in the child's own mount namespace.
    char folder[] = "/tmp/host_walls_XXXXXX";
    const bool inside = (::geteuid() == 0 ? ::unshare(CLONE_NEWNS) == 0 : EnterUserNamespace()) &&
                        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                        ::mount("tmpfs", "/tmp", "tmpfs", 0, nullptr) == 0 &&
                        ::mkdtemp(folder) != nullptr &&
                        ::mount("/", folder, nullptr, MS_BIND | MS_REC, nullptr) == 0;
    return inside && ::chroot(folder) == 0 && ::chdir("/") == 0;
  });
  EXPECT_THAT(said, AllOf(HasSubstr("lacks a mandatory wall: namespaces"), HasSubstr("chroot"),
                          HasSubstr("pivot_root")));
}

TEST_F(HostWallsTest, WithoutUserNamespacesTheErrorNamesTheSetting) {
  const std::string said = ProbeAfter(
      [] { return EnterUserNamespace() && WriteTo("/proc/sys/user/max_user_namespaces", "0"); });
  EXPECT_THAT(said, AllOf(HasSubstr("lacks a mandatory wall: namespaces"),
                          HasSubstr("user.max_user_namespaces")));
}

TEST_F(HostWallsTest, AReadOnlyProcIsNamed) {
  const std::string said = ProbeAfter([] {
    return (::geteuid() == 0 ? ::unshare(CLONE_NEWNS) == 0 : EnterUserNamespace()) &&
           ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
           ::mount("/proc/sys", "/proc/sys", nullptr, MS_BIND | MS_REC, nullptr) == 0 &&
           ::mount(nullptr, "/proc/sys", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0;
  });
  EXPECT_THAT(said, AllOf(HasSubstr("lacks a mandatory wall: user_namespaces"),
                          HasSubstr("/proc/sys/user writable")));
}

}  // namespace
}  // namespace cloister
