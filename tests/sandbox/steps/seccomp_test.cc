#include "sandbox/steps/seccomp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "tests/sandbox/steps/bpf.h"
#include "tests/sandbox/steps/oracle.h"

namespace cloister {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

TEST(SeccompTest, FilterIsWhatTheOracleSays) {
  const auto program = BuildPolicy();
  ASSERT_TRUE(program.ok()) << program.error().message;
  const OracleReport report = HoldAgainstOracle(program.value());
  EXPECT_THAT(report.differences, IsEmpty());
  EXPECT_GT(report.cases, 400'000);
}

TEST(SeccompTest, PolicyHasTwentyFiveCallsAndNamesEachCallOnce) {
  EXPECT_EQ(AllowedCalls().size(), 25U);
  std::vector<int> numbers;
  for (const AllowedCall& call : AllowedCalls())
    numbers.push_back(call.number);
  for (const RefusedCall& call : RefusedCalls())
    numbers.push_back(call.number);
  std::ranges::sort(numbers);
  EXPECT_EQ(std::ranges::adjacent_find(numbers), numbers.end());
}

TEST(SeccompTest, InstallingRefusesAnEmptyOrEndlessFilter) {
  EXPECT_FALSE(InstallSeccomp({}).ok());
  SeccompProgram endless;
  endless.instructions.resize(BPF_MAXINSNS + 1);
  EXPECT_FALSE(InstallSeccomp(endless).ok());
}

// A copy of the policy that a mutation spoils.
struct Policy {
  std::vector<AllowedCall> allowed{AllowedCalls().begin(), AllowedCalls().end()};
  std::vector<RefusedCall> refused{RefusedCalls().begin(), RefusedCalls().end()};

  AllowedCall& Call(int number) {
    return *std::ranges::find(allowed, number, &AllowedCall::number);
  }
};

struct Mutation {
  const char* name;
  std::function<void(Policy&)> spoil;
};

void PrintTo(const Mutation& mutation, std::ostream* out) {
  *out << mutation.name;
}

class MutatedPolicyTest : public testing::TestWithParam<Mutation> {};

TEST_P(MutatedPolicyTest, IsCaught) {
  Policy policy;
  GetParam().spoil(policy);
  const auto program = BuildFilter(policy.allowed, policy.refused);
  ASSERT_TRUE(program.ok()) << program.error().message;
  EXPECT_THAT(HoldAgainstOracle(program.value()).differences, Not(IsEmpty()));
}

const Mutation kMutations[] = {
    {"AnotherCall", [](Policy& p) { p.allowed[0].number = SYS_dup; }},
    {"OneCallLess", [](Policy& p) { p.allowed.pop_back(); }},
    {"ReadsAnything", [](Policy& p) { std::ranges::fill(p.Call(SYS_read).cases, AllowedCase{}); }},
    {"WritesToFive", [](Policy& p) { p.Call(SYS_write).cases[1].tests[0].value = 5; }},
    {"ComparesWholeRegisters", [](Policy& p) { p.Call(SYS_write).cases[0].tests[0].mask = ~0ULL; }},
    {"MapsExecutable", [](Policy& p) { p.Call(SYS_mmap).cases[0].tests[0].mask &= ~4ULL; }},
    {"MapsShared", [](Policy& p) { p.Call(SYS_mmap).cases[0].tests[1].mask &= ~3ULL; }},
    {"MapsUpperHalf", [](Policy& p) { p.Call(SYS_mmap).cases[0].tests[1].mask &= 0xffffffff; }},
    {"ProtectsExecutable", [](Policy& p) { p.Call(SYS_mprotect).cases[0].tests[0].mask &= ~4ULL; }},
    {"ClonesUntraced", [](Policy& p) { p.Call(SYS_clone).cases[0].tests[0].mask &= ~0x800000ULL; }},
    {"ClonesUpperHalf", [](Policy& p) { p.Call(SYS_clone).cases[0].tests[0].mask = 0xffffffff; }},
    {"RequeuesFutex", [](Policy& p) { p.Call(SYS_futex).cases[0].tests[0].value = 3; }},
    {"AdvisesAnything", [](Policy& p) { p.Call(SYS_madvise).cases[0].tests[0].mask = 0xfffffff0; }},
    {"RemapsFixed", [](Policy& p) { p.Call(SYS_mremap).cases[0].tests[0].mask &= ~2ULL; }},
    {"ToleratesPtrace", [](Policy& p) { p.refused[0].how = Refusal::kNoSuchCall; }},
    {"ForgetsTheLastKill", [](Policy& p) { p.refused.pop_back(); }},
};

INSTANTIATE_TEST_SUITE_P(Mutations, MutatedPolicyTest, testing::ValuesIn(kMutations),
                         [](const auto& one) { return std::string(one.param.name); });

TEST(SeccompTest, OracleCatchesAnySpoiledReturnOfTheFilter) {
  const auto program = BuildPolicy();
  ASSERT_TRUE(program.ok());
  for (std::size_t at = 0; at < program.value().instructions.size(); ++at) {
    SeccompProgram spoiled = program.value();
    sock_filter& one = spoiled.instructions[at];
    if (one.code != (BPF_RET | BPF_K))
      continue;
    one.k = one.k == SECCOMP_RET_ALLOW ? SECCOMP_RET_LOG : SECCOMP_RET_ALLOW;
    EXPECT_THAT(HoldAgainstOracle(spoiled).differences, Not(IsEmpty())) << "instruction " << at;
  }
}

}  // namespace
}  // namespace cloister
