// A process that writes to the store is killed at some instruction; what it acknowledged is whole.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

#include "tests/daemon/store/store_fixture.h"

namespace cloister {
namespace {

constexpr int kFiles = 40;

std::string BytesOf(int release, int file) {
  return "release " + std::to_string(release) + " file " + std::to_string(file);
}

// Writes contents and releases until it is killed; tells each release that was acknowledged.
[[noreturn]] void WriteForever(const std::string& path, int report_fd) {
  Database db = std::move(Database::Open(path, {})).value();
  const TenantRow tenant = std::move(ListTenants(db)).value().front();
  const AppRow app = std::move(ListApps(db)).value().front();
  for (int i = 0;; ++i) {
    const Change change{.who = "child", .when = WallTime(Seconds(i))};
    NewRelease release{.app = app.id,
                       .tenant = tenant.id,
                       .app_name = "demo/hello",
                       .version = std::to_string(i + 1),
                       .digest = Sha256Of(std::to_string(i)),
                       .manifest = "",
                       .run = {.entry = "a:b", .limits = {}},
                       .files = {},
                       .note = {}};
    std::vector<VerifiedContent> contents;
    for (int file = 0; file < kFiles; ++file) {
      contents.push_back(ContentOf(BytesOf(i, file)));
      release.files.push_back(FileOf("f" + std::to_string(file), BytesOf(i, file)));
    }
    const bool stored = StoreContents(db, tenant, contents, change).ok();
    const Result<ReleaseRow> row = CreateRelease(db, release, change);
    if (!stored || !row.ok() ||
        ::write(report_fd, &row.value().id.number, sizeof row.value().id.number) < 0)
      ::_exit(1);
  }
}

// The ids that the child acknowledged before it was killed after `micros`.
std::vector<std::uint64_t> WriteAndKill(const std::string& path, long micros) {
  int ends[2] = {};
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0)
    WriteForever(path, ends[1]);
  ::close(ends[1]);
  std::vector<std::uint64_t> acknowledged(1);
  EXPECT_EQ(::read(ends[0], acknowledged.data(), sizeof(std::uint64_t)),
            static_cast<ssize_t>(sizeof(std::uint64_t)));
  const timespec wait = {.tv_sec = 0, .tv_nsec = micros * 1000};
  ::nanosleep(&wait, nullptr);  // not for a condition: any instruction will do
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status));
  std::uint64_t id = 0;
  while (::read(ends[0], &id, sizeof id) == static_cast<ssize_t>(sizeof id))
    acknowledged.push_back(id);
  ::close(ends[0]);
  return acknowledged;
}

TEST(CrashTest, WhatWasAcknowledgedIsWholeAndNothingIsHalf) {
  for (const long micros : {0L, 300L, 1'000L, 2'500L, 5'000L, 11'000L, 17'000L, 23'000L}) {
    const TempDir dir;
    const std::string path = dir.At("state.db");
    {
      Database db = OpenState(path);
      const Change change{.who = "parent", .when = {}};
      const TenantRow tenant = Must(CreateTenant(db, "demo", change));
      Must(CreateApp(db, tenant, Must(AppName::Parse("demo/hello")), change));
    }
    const std::vector<std::uint64_t> acknowledged = WriteAndKill(path, micros);
    Database db = OpenState(path);
    const std::vector<ReleaseRow> releases =
        Must(ListReleases(db, Must(ListApps(db)).front().id, 100'000));
    ASSERT_GE(releases.size(), acknowledged.size());
    EXPECT_LE(releases.size(), acknowledged.size() + 1) << "one at most was under way";
    EXPECT_EQ(releases[releases.size() - acknowledged.size()].id.number, acknowledged.back());
    for (const ReleaseRow& release : releases) {
      const std::vector<ReleaseFile> files = Must(ListFiles(db, release.id));
      ASSERT_EQ(files.size(), static_cast<std::size_t>(kFiles));
      for (const ReleaseFile& file : files)
        EXPECT_TRUE(LoadContent(db, Must(ListTenants(db)).front().id, file.sha256).ok());
      EXPECT_EQ(Must(ListSteps(db, release.id)).size(), 1U);
    }
    EXPECT_EQ(Count(db, "audit WHERE action = 'release_created'"),
              static_cast<std::int64_t>(releases.size()));
    EXPECT_EQ(Count(db, "pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
  }
}

}  // namespace
}  // namespace cloister
