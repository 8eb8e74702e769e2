// A disk that is full from one write of a deploy on, for each of its writes: the live release goes
// on, what was acknowledged is there, and once there is room the same node deploys again.

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <limits>

#include <sqlite3.h>

#include "tests/daemon/releases/node_fixture.h"

namespace cloister {
namespace {

constexpr int kForEver = std::numeric_limits<int>::max();

// How many more writes of any database have room. Each counts on one of its threads.
std::atomic<int> writes_left{kForEver};

ssize_t WriteWithin(int fd, const void* bytes, std::size_t size, off_t offset) {
  if (writes_left.load() <= 0) {
    errno = ENOSPC;
    return -1;
  }
  if (writes_left.load() != kForEver)
    --writes_left;
  return ::pwrite(fd, bytes, size, offset);
}

class DiskFullTest : public NodeTest {
 protected:
  DiskFullTest() {
    for (const char* name : {"pwrite", "pwrite64"})
      SetCall(name, reinterpret_cast<sqlite3_syscall_ptr>(WriteWithin));
  }
  ~DiskFullTest() override {
    writes_left = kForEver;
    SetCall("pwrite", nullptr);
    SetCall("pwrite64", nullptr);
  }
  DiskFullTest(const DiskFullTest&) = delete;
  DiskFullTest& operator=(const DiskFullTest&) = delete;
  static void SetCall(const char* name, sqlite3_syscall_ptr call) {
    sqlite3_vfs* vfs = ::sqlite3_vfs_find(nullptr);
    EXPECT_EQ(vfs->xSetSystemCall(vfs, name, call), SQLITE_OK) << name;
  }
  // A deploy or a turn for which `count` writes have room; false when it needed no more.
  template <typename Act>
  bool WithRoomFor(int count, Act act) {
    writes_left = count;
    act();
    EXPECT_TRUE(RunUntil(loop, [&] {
      return releases->catalog().FindApp(Hello())->activity == AppActivity::kNone;
    }));
    const bool was_full = writes_left.load() <= 0;
    writes_left = kForEver;
    return was_full;
  }
  std::string LiveInTheStore() {
    const Outcome<std::vector<ReleaseView>> views = Wait<std::vector<ReleaseView>>(
        [&](const auto& done) { releases->pipeline().List(Hello(), 1000, done); });
    std::string live;
    for (const ReleaseView& view : views.value())
      if (view.release.live)
        live += view.release.version;
    return live;
  }
};

TEST_F(DiskFullTest, AtEachWriteOfADeploy) {
  StartWithApp();
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  int refused = 0;
  int room = 0;
  for (bool was_full = true; was_full; ++room) {
    SCOPED_TRACE(room);
    const std::string old = Routed();
    const std::string next = std::to_string(room + 2) + ".0.0";
    const Files files = HelloFiles(next, next);
    ASSERT_TRUE(Upload("demo", BatchOf(files)).ok());
    was_full = WithRoomFor(room, [&] {
      const Outcome<DeployAnswer> answer = Send(files);
      refused += answer.ok() ? 0 : 1;
      EXPECT_TRUE(answer.ok() || answer.error().code == ProblemCode::kDiskFull);
    });
    EXPECT_TRUE(Routed() == next || (was_full && Routed() == old)) << Routed();
    EXPECT_EQ(Routed(), LiveInTheStore());
    ASSERT_TRUE(Deploy(files).ok());
    ASSERT_EQ(Routed(), next) << "there is room again";
  }
  EXPECT_GE(refused, 1) << "full at the first write";
  EXPECT_GE(room - refused, 5) << "full at a later one";
}

// What could not be written down as rejected is not taken up by the next node.
TEST_F(DiskFullTest, AFailureThatCouldNotBeSavedStaysOne) {
  StartWithApp();
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  const Files files = HelloFiles("2.0.0");
  ASSERT_TRUE(Upload("demo", BatchOf(files)).ok());
  workers->hold_boots = true;
  const ReleaseId second = Send(files).value().view.release.id;
  ASSERT_TRUE(RunUntil(loop, [&] { return workers->has_held_boots(); }));
  ASSERT_TRUE(WithRoomFor(0, [&] { workers->EndBoots(); }));
  EXPECT_EQ(ReportOf(View(second).value()).code, "disk_full");
  ASSERT_TRUE(Deploy(HelloFiles("3.0.0")).ok());
  bool closed = false;
  releases->Close([&] { closed = true; });
  ASSERT_TRUE(RunUntil(loop, [&] { return closed; }));
  Crash();
  Start();
  EXPECT_EQ(StateOf(second), ReleaseState::kRejected);
  EXPECT_EQ(Routed(), "3.0.0");
}

TEST_F(DiskFullTest, AtEachWriteOfARollback) {
  StartWithApp();
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  ASSERT_TRUE(Deploy(HelloFiles("2.0.0")).ok());
  bool was_full = true;
  for (int room = 0; was_full; ++room) {
    SCOPED_TRACE(room);
    was_full = WithRoomFor(room, [&] { (void)Turn(TurnKind::kRollback, "1.0.0"); });
    EXPECT_EQ(Routed(), LiveInTheStore());
    const Outcome<ReleaseView> back = Turned(TurnKind::kRollback, "1.0.0");
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(ReportOf(back.value()).code, "none") << "what failed before is over";
    EXPECT_EQ(Routed(), "1.0.0");
    ASSERT_TRUE(Turned(TurnKind::kRollback, "2.0.0").ok());
    EXPECT_EQ(Routed(), "2.0.0");
  }
}

}  // namespace
}  // namespace cloister
