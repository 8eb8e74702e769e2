#include "tests/sandbox/steps/bpf.h"

#include <cstring>

#include "apis/base/check.h"

namespace cloister {
namespace {

std::uint32_t LoadWord(const seccomp_data& data, std::uint32_t offset) {
  CHECK(offset % 4 == 0 && offset + 4 <= sizeof data);
  std::uint32_t word = 0;
  std::memcpy(&word, reinterpret_cast<const char*>(&data) + offset, sizeof word);
  return word;
}

bool Holds(const sock_filter& jump, std::uint32_t accumulator) {
  switch (BPF_OP(jump.code)) {
    case BPF_JEQ:
      return accumulator == jump.k;
    case BPF_JGT:
      return accumulator > jump.k;
    case BPF_JGE:
      return accumulator >= jump.k;
    case BPF_JSET:
      return (accumulator & jump.k) != 0;
    default:
      CHECK(!"a jump that libseccomp does not make");
  }
  return false;
}

}  // namespace

std::uint32_t EvaluateBpf(const SeccompProgram& program, const seccomp_data& data) {
  std::uint32_t accumulator = 0;
  std::size_t at = 0;
  for (;;) {
    CHECK(at < program.instructions.size());
    const sock_filter& one = program.instructions[at++];
    if (one.code == (BPF_RET | BPF_K))
      return one.k;
    if (one.code == (BPF_LD | BPF_W | BPF_ABS))
      accumulator = LoadWord(data, one.k);
    else if (one.code == (BPF_ALU | BPF_AND | BPF_K))
      accumulator &= one.k;
    else if (one.code == (BPF_JMP | BPF_JA))
      at += one.k;
    else if (BPF_CLASS(one.code) == BPF_JMP && BPF_SRC(one.code) == BPF_K)
      at += Holds(one, accumulator) ? one.jt : one.jf;
    else
      CHECK(!"an instruction that libseccomp does not make");
  }
}

}  // namespace cloister
