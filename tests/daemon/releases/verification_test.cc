#include "daemon/releases/verification.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "daemon/store/accounts.h"
#include "tests/daemon/releases/node_fixture.h"

namespace cloister {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class VerificationTest : public NodeTest {
 protected:
  // The node stops, and its database is ours.
  void TakeOver() {
    Crash();
    db = std::move(Database::Open(dir.At("state.db"), {})).value();
  }
  void Run(const std::string& sql) {
    ASSERT_TRUE(db->Execute("PRAGMA foreign_keys=OFF;" + sql).ok()) << sql;
    ASSERT_GT(db->changes(), 0U) << sql;
  }
  Verification OfAll() {
    return Verification(std::move(ListApps(*db)).value(),
                        std::make_shared<NodeKey>(dir.path(), UniqueFd()));
  }
  Outcome<ConfigAnswer> SetSecret(const std::string& name, const std::string& value) {
    auto request = std::make_shared<ConfigRequest>();
    request->kind = ConfigKind::kSecret;
    request->changes.push_back({.name = name, .unset = false, .value = SecretText(value)});
    return Wait<ConfigAnswer>([&](const auto& done) {
      releases->pipeline().ChangeConfig(Hello(), request, "tester", done);
    });
  }
  VerificationReport Verified() {
    Verification verification = OfAll();
    while (std::move(verification.Step(*db)).value()) {
    }
    return verification.report();
  }

  std::optional<Database> db;
};

TEST_F(VerificationTest, WhatIsSoundIsCounted) {
  StartWithApp();
  ASSERT_TRUE(CreateApp("demo", "empty").ok());
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  ASSERT_TRUE(Deploy(HelloFiles("2.0.0")).ok());
  TakeOver();
  const VerificationReport report = Verified();
  EXPECT_EQ(report.apps, 2U);
  EXPECT_EQ(report.releases, 2U);
  EXPECT_EQ(report.files, 6U);
  EXPECT_EQ(report.damages, 0U);
  EXPECT_THAT(report.found, IsEmpty());
}

TEST_F(VerificationTest, EachSecretIsOpenedAndThoseThatDoNotAreNamed) {
  StartWithApp();
  ASSERT_TRUE(SetSecret("A", "one-secret").ok());
  ASSERT_TRUE(SetSecret("B", "another-one").ok());
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  TakeOver();
  VerificationReport report = Verified();
  EXPECT_EQ(report.secrets, 2U);
  EXPECT_EQ(report.sealed, 0U);
  EXPECT_EQ(report.damages, 0U);
  Run("UPDATE config_values SET value = zeroblob(60) WHERE name = 'B' AND length(value) > 0");
  report = Verified();
  EXPECT_EQ(report.secrets, 2U);
  EXPECT_EQ(report.sealed, 1U);
  EXPECT_EQ(report.damages, 1U);
  EXPECT_EQ(report.damaged, 0U) << "no release";
  ASSERT_EQ(report.found.size(), 1U);
  EXPECT_EQ(report.found[0].app.ToString(), "demo/hello");
  EXPECT_EQ(report.found[0].version, "config 2");
  EXPECT_THAT(report.found[0].damage.what, HasSubstr("the secret B does not open"));
  // Without the key none does.
  ASSERT_EQ(::unlink(dir.At("node.key").c_str()), 0);
  EXPECT_EQ(Verified().sealed, 2U);
}

TEST_F(VerificationTest, EachDamageIsFoundAndTheWalkGoesOn) {
  StartWithApp();
  const ReleaseId first = Deploy(HelloFiles("1.0.0", "one")).value().release.id;
  const ReleaseId second = Deploy(HelloFiles("2.0.0", "two")).value().release.id;
  TakeOver();
  Run("UPDATE bytecode SET seal = zeroblob(32) WHERE sha256 = (SELECT sha256 FROM release_files "
      "WHERE path = 'main.py' AND release_id = " +
      std::to_string(first.number) + ")");
  Run("DELETE FROM contents WHERE sha256 = (SELECT sha256 FROM release_files WHERE path = "
      "'cloister.toml' AND release_id = " +
      std::to_string(second.number) + ")");
  Run("UPDATE releases SET queue_max = 1 WHERE id = " + std::to_string(second.number));
  const VerificationReport report = Verified();
  EXPECT_EQ(report.releases, 2U);
  EXPECT_EQ(report.damaged, 2U);
  EXPECT_EQ(report.damages, 3U);
  ASSERT_EQ(report.found.size(), 3U);
  EXPECT_EQ(report.found[0].app, Hello());
  EXPECT_EQ(report.found[0].release, first);
  EXPECT_EQ(report.found[0].version, "1.0.0");
  EXPECT_EQ(report.found[0].damage.file, "main.py");
  EXPECT_THAT(report.found[0].damage.what, HasSubstr("bytecode"));
  EXPECT_EQ(report.found[1].release, second);
  EXPECT_EQ(report.found[1].damage.file, "");
  EXPECT_THAT(report.found[1].damage.what, HasSubstr("limits"));
  EXPECT_EQ(report.found[2].damage.file, "cloister.toml");
  EXPECT_THAT(report.found[2].damage.what, HasSubstr("is not there"));
}

TEST_F(VerificationTest, ADamagedContentIsToldOfEachReleaseThatHasIt) {
  StartWithApp();
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  ASSERT_TRUE(Deploy(HelloFiles("2.0.0")).ok());
  TakeOver();
  Run("UPDATE contents SET compressed = x'00' WHERE sha256 = (SELECT sha256 FROM release_files "
      "WHERE path = 'static/logo.txt')");
  EXPECT_EQ(Verified().damaged, 2U);
}

TEST_F(VerificationTest, EveryDamageIsCountedAndNotAllAreListed) {
  StartWithApp();
  Files files = HelloFiles("1.0.0");
  for (std::size_t i = 0; i < kDamagesListedMax; ++i)
    files.emplace_back("data/" + std::to_string(i), std::to_string(i));
  ASSERT_TRUE(Deploy(files).ok());
  TakeOver();
  Run("DELETE FROM contents");
  const VerificationReport report = Verified();
  EXPECT_EQ(report.damages, kDamagesListedMax + 3);
  EXPECT_EQ(report.found.size(), kDamagesListedMax);
  EXPECT_EQ(report.damaged, 1U);
}

Files LargeFiles() {
  Files files = HelloFiles("1.0.0");
  for (int i = 0; i < 5; ++i)
    files.emplace_back("large/" + std::to_string(i),
                       std::string(MiB(4).count, static_cast<char>('a' + i)));
  return files;
}

TEST_F(VerificationTest, ALargeReleaseIsCheckedInSlices) {
  StartWithApp();
  ASSERT_TRUE(Deploy(LargeFiles()).ok());
  TakeOver();
  Verification verification = OfAll();
  std::vector<std::uint64_t> files;
  while (std::move(verification.Step(*db)).value())
    files.push_back(verification.report().files);
  EXPECT_EQ(files, (std::vector<std::uint64_t>{3, 5, 8}));
  EXPECT_EQ(verification.report().releases, 1U);
}

TEST_F(VerificationTest, AReleaseThatGoesInBetweenIsNoDamage) {
  StartWithApp();
  ASSERT_TRUE(Deploy(LargeFiles()).ok());
  ASSERT_TRUE(Deploy(HelloFiles("2.0.0")).ok());
  TakeOver();
  Verification verification = OfAll();
  ASSERT_TRUE(verification.Step(*db).value());
  Run("DELETE FROM release_files WHERE release_id = 1; DELETE FROM releases WHERE id = 1");
  while (std::move(verification.Step(*db)).value()) {
  }
  EXPECT_EQ(verification.report().damages, 0U);
  EXPECT_EQ(verification.report().releases, 2U);
}

}  // namespace
}  // namespace cloister
