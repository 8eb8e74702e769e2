#include "sandbox/steps/policy_text.h"

#include "sandbox/steps/seccomp_policy.h"

namespace cloister {
namespace {

struct RefusalClass {
  Refusal how;
  const char* heading;
  const char* reason;
};

constexpr RefusalClass kClasses[] = {
    {Refusal::kNoSuchFile, "refuse ENOENT", "as on a machine without files"},
    {Refusal::kFakeSuccess, "refuse 0", "not run, and answered with 0"},
    {Refusal::kNoSuchCall, "refuse ENOSYS", "as on an older kernel"},
    {Refusal::kKill, "kill", "only an attacker makes these calls: the process ends"},
};

constexpr char kRest[] =
    "kill abi i386, abi x32  # any call by another ABI: the process ends\n"
    "refuse EPERM everything else\n";

std::string Condition(const AllowedCall& call) {
  if (call.unconditional())
    return "always";
  std::string text;
  for (const AllowedCase& one_case : call.cases) {
    if (one_case.used() && !text.empty())
      text += ", or ";
    for (const ArgumentTest& test : one_case.tests) {
      if (!test.used())
        continue;
      if (&test != &one_case.tests[0])
        text += " and ";
      text += test.text;
    }
  }
  return text;
}

std::string RefusalLine(const RefusalClass& refusal) {
  std::string line = refusal.heading;
  for (const RefusedCall& call : RefusedCalls()) {
    if (call.how != refusal.how)
      continue;
    line += ' ';
    line += call.name;
  }
  line += "  # ";
  line += refusal.reason;
  line += '\n';
  return line;
}

}  // namespace

std::string RenderPolicy() {
  std::string text;
  for (const AllowedCall& call : AllowedCalls()) {
    text += "allow ";
    text += call.name;
    text += ' ';
    text += Condition(call);
    text += "  # ";
    text += call.reason;
    text += '\n';
  }
  for (const RefusalClass& refusal : kClasses)
    text += RefusalLine(refusal);
  return text + kRest;
}

}  // namespace cloister
