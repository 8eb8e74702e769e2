// A node that is killed at every commit of a deploy: what the next one finds is whole.

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/daemon/releases/node_fixture.h"

namespace cloister {
namespace {

namespace fs = std::filesystem;

class CrashTest : public NodeTest {
 protected:
  // The state directory as a kill at this moment leaves it.
  void Photograph() {
    const std::string copy = photographs_.At(std::to_string(count_++));
    fs::create_directory(copy);
    for (const char* file : {"state.db", "state.db-wal"})
      if (fs::exists(dir.At(file)))
        fs::copy_file(dir.At(file), copy + "/" + file);
  }
  // Runs the loop a turn at a time until `is_so`, with a photograph whenever something was written.
  template <typename Condition>
  void Watch(Condition is_so) {
    ASSERT_TRUE(RunUntil(loop, [&] {
      const auto wal =
          fs::exists(dir.At("state.db-wal")) ? fs::file_size(dir.At("state.db-wal")) : 0;
      if (wal != seen_) {
        seen_ = wal;
        Photograph();
      }
      return is_so();
    }));
    Photograph();
  }
  bool IsIdle() { return releases->catalog().FindApp(Hello())->activity == AppActivity::kNone; }
  // A node on photograph `number`: one release is live, `old` or `next`, and it can be run.
  void Examine(int number, const std::string& old, const std::string& next) {
    SCOPED_TRACE(number);
    NodeTest::Crash();
    fs::remove_all(dir.path());
    fs::copy(photographs_.At(std::to_string(number)), dir.path());
    Start();
    EXPECT_TRUE(Routed() == old || Routed() == next) << Routed();
    found_.insert(Routed());
    const AppEntry* app = releases->catalog().FindApp(Hello());
    ASSERT_TRUE(app->live);
    std::optional<Result<std::shared_ptr<const UniqueFd>>> image;
    images->LoadImage(app->live->id, [&](Result<std::shared_ptr<const UniqueFd>> loaded) {
      image = std::move(loaded);
    });
    ASSERT_TRUE(RunUntil(loop, [&] { return image.has_value() && IsIdle(); }));
    EXPECT_TRUE(image->ok()) << image->error().message;
    const Outcome<ReleaseView> again = Deploy(HelloFiles("9.0.0"));
    ASSERT_TRUE(again.ok()) << again.error().detail;
    EXPECT_EQ(Routed(), "9.0.0") << "the next deploy works";
  }
  void ExamineAll(const std::string& old, const std::string& next) {
    EXPECT_GE(count_, 3);
    for (int i = 0; i < count_; ++i)
      Examine(i, old, next);
    EXPECT_EQ(found_, (std::set<std::string>{old, next})) << "the kills came before and after";
  }

  TempDir photographs_;
  int count_ = 0;
  std::uintmax_t seen_ = 0;
  std::set<std::string> found_;
};

TEST_F(CrashTest, AKillAnywhereInADeployLeavesTheOldOrTheNewReleaseLive) {
  StartWithApp();
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  ASSERT_TRUE(Upload("demo", BatchOf(HelloFiles("2.0.0"))).ok());
  ASSERT_TRUE(Send(HelloFiles("2.0.0")).ok());
  Watch([&] { return IsIdle(); });
  EXPECT_EQ(Routed(), "2.0.0");
  ExamineAll("1.0.0", "2.0.0");
}

TEST_F(CrashTest, AKillAnywhereInARollbackDoesToo) {
  StartWithApp();
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  ASSERT_TRUE(Deploy(HelloFiles("2.0.0")).ok());
  Photograph();
  ASSERT_TRUE(Turn(TurnKind::kRollback).ok());
  Watch([&] { return IsIdle(); });
  EXPECT_EQ(Routed(), "1.0.0");
  ExamineAll("2.0.0", "1.0.0");
}

}  // namespace
}  // namespace cloister
