#include "daemon/keeper/cgroups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr const char* kHybridMounts =
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

TEST(FindCgroupsTest, Version1WhenItHasAllControllers) {
  const CgroupPlaces places = FindCgroups(
      kHybridMounts, "8:pids:/\n4:memory:/outer/inner\n1:cpu,cpuacct:/\n9:name=systemd:/\n0::/\n");
  EXPECT_EQ(places.version, CgroupPlaces::Version::kV1);
  EXPECT_THAT(places.own, UnorderedElementsAre(Pair("cpu", "/sys/fs/cgroup/cpu,cpuacct"),
                                               Pair("memory", "/sys/fs/cgroup/memory/outer/inner"),
                                               Pair("pids", "/sys/fs/cgroup/pids")));
}

TEST(FindCgroupsTest, Version2BelowTheMountThatShowsIt) {
  const CgroupPlaces places =
      FindCgroups("30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n",
                  "0::/system.slice/cloisterd.service\n");
  EXPECT_EQ(places.version, CgroupPlaces::Version::kV2);
  EXPECT_THAT(places.own, ElementsAre(Pair("", "/sys/fs/cgroup/system.slice/cloisterd.service")));
}

TEST(FindCgroupsTest, AMountOfAPartOfTheHierarchy) {
  const CgroupPlaces places = FindCgroups(
      "30 23 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/docker/abc/sub\n");
  EXPECT_THAT(places.own, ElementsAre(Pair("", "/sys/fs/cgroup/sub")));
}

TEST(FindCgroupsTest, AnEarlierKeepersLeafIsNotOurDelegatedGroup) {
  const CgroupPlaces places =
      FindCgroups("30 23 0:26 / /cg rw - cgroup2 cgroup2 rw\n", "0::/user.slice/cloister-keeper\n");
  EXPECT_THAT(places.own, ElementsAre(Pair("", "/cg/user.slice")));
}

TEST(FindCgroupsTest, NoneSaysWhatIsMissing) {
  const CgroupPlaces places = FindCgroups(
      "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n", "4:memory:/\n");
  EXPECT_EQ(places.version, CgroupPlaces::Version::kNone);
  EXPECT_THAT(places.reason, HasSubstr("pids cpu"));
  EXPECT_EQ(FindCgroups("", "").version, CgroupPlaces::Version::kNone);
  EXPECT_EQ(FindCgroups("garbage - \n- - -\n", "::\n:\n\n").version, CgroupPlaces::Version::kNone);
}

TEST(GroupNameTest, LettersDigitsAndDashesUpTo64) {
  for (const char* good : {"a", "app-12", "0", "-"})
    EXPECT_TRUE(IsGroupName(good)) << good;
  for (const char* bad : {"", ".", "..", "a/b", "A", "a b", "a\n", "\xc3\xa9", "a.b"})
    EXPECT_FALSE(IsGroupName(bad)) << bad;
  EXPECT_TRUE(IsGroupName(std::string(64, 'a')));
  EXPECT_FALSE(IsGroupName(std::string(65, 'a')));
  EXPECT_FALSE(IsGroupName(std::string_view("a\0b", 3)));
}

TEST(GroupFilesTest, Version2) {
  EXPECT_THAT(CgroupFilesV2({.memory_max = MiB(256), .pids_max = 64, .cpu_millis = 1500}),
              ElementsAre(Pair("memory.max", "268435456"), Pair("pids.max", "64"),
                          Pair("cpu.max", "150000 100000"), Pair("cpu.weight", "100")));
}

TEST(GroupFilesTest, Version1) {
  const GroupLimits limits{.memory_max = MiB(256), .pids_max = 64, .cpu_millis = 500};
  EXPECT_THAT(CgroupFilesV1("memory", limits),
              ElementsAre(Pair("memory.limit_in_bytes", "268435456")));
  EXPECT_THAT(CgroupFilesV1("pids", limits), ElementsAre(Pair("pids.max", "64")));
  EXPECT_THAT(CgroupFilesV1("cpu", limits),
              ElementsAre(Pair("cpu.cfs_period_us", "100000"), Pair("cpu.cfs_quota_us", "50000"),
                          Pair("cpu.shares", "1024")));
}

TEST(GroupFilesTest, AWeightIsSaidInTheUnitsOfBoth) {
  const GroupLimits limits{.memory_max = {}, .pids_max = 0, .cpu_millis = 1000, .cpu_weight = 1000};
  EXPECT_THAT(CgroupFilesV1("cpu", limits), Contains(Pair("cpu.shares", "10240")));
  EXPECT_THAT(CgroupFilesV2(limits), Contains(Pair("cpu.weight", "1000")));
}

TEST(GroupFilesTest, TheKernelsLeastQuotaIsTheLeast) {
  EXPECT_THAT(CgroupFilesV1("cpu", {.memory_max = {}, .pids_max = 0, .cpu_millis = 1}),
              ElementsAre(Pair("cpu.cfs_period_us", "100000"), Pair("cpu.cfs_quota_us", "1000"),
                          Pair("cpu.shares", "1024")));
}

constexpr GroupLimits kWorker{.memory_max = MiB(100), .pids_max = 10, .cpu_millis = 1000};

TEST(GroupLedgerTest, MemoryAndProcessesAddUpAndCpuIsTheNewestWord) {
  GroupLedger ledger;
  EXPECT_EQ(ledger.Join("a", kWorker).memory_max, MiB(100));
  EXPECT_EQ(ledger.Join("b", kWorker).memory_max, MiB(100));
  GroupLimits more = kWorker;
  more.cpu_millis = 2000;
  const GroupLimits both = ledger.Join("a", more);
  EXPECT_EQ(both.memory_max, MiB(200));
  EXPECT_EQ(both.pids_max, 20U);
  EXPECT_EQ(both.cpu_millis, 2000U);
}

TEST(GroupLedgerTest, TheLastWorkerLeavesAnEmptyGroup) {
  GroupLedger ledger;
  (void)ledger.Join("a", kWorker);
  (void)ledger.Join("a", kWorker);
  const GroupLedger::Left one = ledger.Leave("a", kWorker);
  EXPECT_FALSE(one.empty);
  EXPECT_EQ(one.limits.memory_max, MiB(100));
  EXPECT_TRUE(ledger.Leave("a", kWorker).empty);
  EXPECT_EQ(ledger.Join("a", kWorker).memory_max, MiB(100));
}

TEST(GroupLedgerTest, WhoHasNoWordAboutCpuLeavesItAsItIs) {
  GroupLedger ledger;
  GroupLimits half = kWorker;
  half.cpu_millis = 500;
  GroupLimits silent = kWorker;
  silent.cpu_millis = 0;
  EXPECT_EQ(ledger.Join("a", half).cpu_millis, 500U);
  EXPECT_EQ(ledger.Join("a", silent).cpu_millis, 500U);
  // It stays when those who had the word have gone.
  EXPECT_EQ(ledger.Leave("a", half).limits.cpu_millis, 500U);
  EXPECT_EQ(ledger.Join("a", half).cpu_millis, 500U);
  EXPECT_EQ(ledger.Join("b", silent).cpu_millis, kCpuWithoutWord);
  EXPECT_EQ(ledger.Join("b", half).cpu_millis, 500U);
}

TEST(GroupLedgerTest, AWordAboutCpuGoesWithItsWorker) {
  GroupLedger ledger;
  GroupLimits little = kWorker;
  little.cpu_millis = 30;
  (void)ledger.Join("a", kWorker);
  EXPECT_EQ(ledger.Join("a", little).cpu_millis, 30U);
  EXPECT_EQ(ledger.Leave("a", little).limits.cpu_millis, kWorker.cpu_millis);
  // Those of a former release end while those of the next one begin.
  GroupLimits more = kWorker;
  more.cpu_millis = 2000;
  (void)ledger.Join("a", more);
  EXPECT_EQ(ledger.Leave("a", kWorker).limits.cpu_millis, 2000U);
}

// The files of a hierarchy are made by the kernel; here by the test.
class CgroupDirectoryTest : public ::testing::Test {
 protected:
  CgroupPlaces Places(CgroupPlaces::Version version, const std::string& hierarchy) const {
    return {.version = version, .own = {{hierarchy, directory_.path()}}, .reason = {}};
  }

  TempDir directory_;
};

TEST_F(CgroupDirectoryTest, Version2MovesTheKeeperAsideAndDelegates) {
  directory_.Write("cgroup.controllers", "cpuset cpu io memory pids\n");
  directory_.Write("cgroup.subtree_control", "");
  directory_.Write("cloister-keeper/cgroup.procs", "");
  directory_.Write("cloister-42/cgroup.subtree_control", "");
  directory_.Write("cloister-42/cpu.weight", "");
  for (const char* file : {"memory.max", "pids.max", "cpu.max", "cpu.weight", "cgroup.procs"})
    directory_.Write(std::string("cloister-42/app-1/") + file, "");
  const auto cgroups = OpenCgroups(Places(CgroupPlaces::Version::kV2, ""), 42);
  ASSERT_STREQ(cgroups->version(), "v2") << cgroups->reason();
  EXPECT_EQ(directory_.Read("cloister-keeper/cgroup.procs"), "0");
  EXPECT_EQ(directory_.Read("cgroup.subtree_control"), "+memory +pids +cpu");
  EXPECT_EQ(directory_.Read("cloister-42/cgroup.subtree_control"), "+memory +pids +cpu");
  EXPECT_THAT(cgroups->Directories(), ElementsAre(directory_.At("cloister-42")));
  ASSERT_TRUE(cgroups->Set("app-1", kWorker).ok());
  ASSERT_TRUE(cgroups->Move("app-1", 77).ok());
  EXPECT_EQ(directory_.Read("cloister-42/app-1/memory.max"), "104857600");
  EXPECT_EQ(directory_.Read("cloister-42/app-1/cgroup.procs"), "77");
}

TEST_F(CgroupDirectoryTest, AGroupInTheBackgroundHasItsWeightAgainWhenItComesBack) {
  directory_.Write("cloister-42/cpu.shares", "");
  for (const char* file : {"cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.shares", "cpu.idle"})
    directory_.Write(std::string("cloister-42/app-1/") + file, "");
  const auto cgroups = OpenCgroups(Places(CgroupPlaces::Version::kV1, "cpu"), 42);
  ASSERT_STREQ(cgroups->version(), "v1") << cgroups->reason();
  EXPECT_EQ(directory_.Read("cloister-42/cpu.shares"), "2048");
  ASSERT_TRUE(cgroups->SetBackground("app-1", true).ok());
  EXPECT_EQ(directory_.Read("cloister-42/app-1/cpu.idle"), "1");
  // Its ceilings change there as elsewhere; a weight would be refused.
  ASSERT_TRUE(cgroups->Set("app-1", kWorker).ok());
  EXPECT_EQ(directory_.Read("cloister-42/app-1/cpu.cfs_quota_us"), "100000");
  EXPECT_EQ(directory_.Read("cloister-42/app-1/cpu.shares"), "");
  ASSERT_TRUE(cgroups->SetBackground("app-1", false).ok());
  EXPECT_EQ(directory_.Read("cloister-42/app-1/cpu.idle"), "0");
  EXPECT_EQ(directory_.Read("cloister-42/app-1/cpu.shares"), "1024");
  EXPECT_FALSE(cgroups->SetBackground("app-2", true).ok());
}

TEST_F(CgroupDirectoryTest, AGroupOfOurOwnHasAWeightAndNoCeilings) {
  directory_.Write("cloister-42/cpu.shares", "");
  directory_.Write("cloister-42/node/cpu.shares", "");
  const auto cgroups = OpenCgroups(Places(CgroupPlaces::Version::kV1, "cpu"), 42);
  ASSERT_TRUE(cgroups->SetWeight("node", 1000).ok());
  EXPECT_EQ(directory_.Read("cloister-42/node/cpu.shares"), "10240");
}

TEST_F(CgroupDirectoryTest, Version2WithoutAControllerIsNone) {
  directory_.Write("cgroup.controllers", "hugetlb memory pids\n");
  const auto cgroups = OpenCgroups(Places(CgroupPlaces::Version::kV2, ""), 42);
  EXPECT_STREQ(cgroups->version(), "none");
  EXPECT_THAT(cgroups->reason(), HasSubstr("no controller cpu"));
  EXPECT_TRUE(cgroups->Set("app-1", kWorker).ok());
  EXPECT_TRUE(cgroups->Move("app-1", 77).ok());
}

TEST_F(CgroupDirectoryTest, WithoutPermissionIsNoneWithTheReason) {
  std::filesystem::remove_all(directory_.path());
  const auto cgroups = OpenCgroups(Places(CgroupPlaces::Version::kV1, "pids"), 42);
  EXPECT_STREQ(cgroups->version(), "none");
  EXPECT_THAT(cgroups->reason(), HasSubstr("cloister-42"));
}

TEST_F(CgroupDirectoryTest, RemovesItsGroupsAndNoOthers) {
  directory_.Write("cloister-7/other/file", "");
  const auto cgroups = OpenCgroups(Places(CgroupPlaces::Version::kV1, "pids"), 42);
  ASSERT_STREQ(cgroups->version(), "v1");
  std::filesystem::create_directories(directory_.At("cloister-42/app-1"));
  cgroups->Remove("app-1");
  EXPECT_FALSE(std::filesystem::exists(directory_.At("cloister-42/app-1")));
  // What the kernel does not let go of yet goes with the next one.
  directory_.Write("cloister-42/app-3/busy", "");
  cgroups->Remove("app-3");
  EXPECT_TRUE(std::filesystem::exists(directory_.At("cloister-42/app-3")));
  std::filesystem::remove(directory_.At("cloister-42/app-3/busy"));
  cgroups->Remove("app-4");
  EXPECT_FALSE(std::filesystem::exists(directory_.At("cloister-42/app-3")));
  std::filesystem::create_directories(directory_.At("cloister-42/app-2"));
  cgroups->RemoveAll();
  EXPECT_FALSE(std::filesystem::exists(directory_.At("cloister-42")));
  EXPECT_TRUE(std::filesystem::exists(directory_.At("cloister-7")));
}

TEST_F(CgroupDirectoryTest, LeftOversAreRemovedByTheirName) {
  std::filesystem::create_directories(directory_.At("cloister-42/app-1"));
  std::filesystem::create_directories(directory_.At("cloister-43"));
  RemoveLeftOverCgroups({directory_.At("cloister-42"), directory_.At("cloister-43"),
                         directory_.At("x/../cloister-43"), directory_.path()},
                        42);
  EXPECT_FALSE(std::filesystem::exists(directory_.At("cloister-42")));
  EXPECT_TRUE(std::filesystem::exists(directory_.At("cloister-43")));
}

}  // namespace
}  // namespace cloister
