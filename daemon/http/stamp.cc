#include "daemon/http/stamp.h"

#include <sys/random.h>

#include <ctime>

#include "apis/base/check.h"

namespace cloister {
namespace {

constexpr std::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t kTimeSize = 10;  // characters of the milliseconds
constexpr std::size_t kHighSize = 4;   // of the random bits that stay for a millisecond
constexpr std::size_t kLowSize = kRequestIdSize - kTimeSize - kHighSize;
constexpr std::uint64_t kLowMask = (std::uint64_t{1} << (5 * kLowSize)) - 1;

void Encode(std::uint64_t number, char* out, std::size_t size) {
  for (std::size_t i = size; i > 0; --i, number >>= 5)
    out[i - 1] = kAlphabet[number & 31];
}

}  // namespace

RequestIds::RequestIds() {
  CHECK(::getrandom(&random_state_, sizeof random_state_, 0) == sizeof random_state_);
}

// SplitMix64: ids must not repeat; they need not be secret.
std::uint64_t RequestIds::NextRandom() {
  random_state_ += 0x9e3779b97f4a7c15U;
  std::uint64_t mixed = random_state_;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
  return mixed ^ (mixed >> 31);
}

void RequestIds::Make(WallTime now, RequestIdText& out) {
  const std::int64_t millis = std::chrono::duration_cast<Millis>(now.time_since_epoch()).count();
  if (millis > millis_) {
    millis_ = millis;
    Encode(static_cast<std::uint64_t>(millis), current_.data(), kTimeSize);
    Encode(NextRandom(), current_.data() + kTimeSize, kHighSize);
    low_ = NextRandom() & (kLowMask >> 1);  // the upper half is left for counting
  } else {
    ++low_;
  }
  Encode(low_, current_.data() + kTimeSize + kHighSize, kLowSize);
  out = current_;
}

std::string_view DateHeader::At(WallTime now) {
  const std::int64_t second = std::chrono::duration_cast<Seconds>(now.time_since_epoch()).count();
  if (second != second_) {
    second_ = second;
    const std::time_t time = second;
    std::tm parts = {};
    (void)::gmtime_r(&time, &parts);
    size_ =
        std::strftime(text_.data(), text_.size(), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
  }
  return {text_.data(), size_};
}

}  // namespace cloister
