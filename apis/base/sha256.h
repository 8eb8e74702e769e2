#pragma once

// SHA-256 (FIPS 180-4): the name of every content in the code store.

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace cloister {

struct Sha256 {
  std::array<std::uint8_t, 32> bytes = {};

  auto operator<=>(const Sha256&) const = default;

  // 64 lower-case hexadecimal digits.
  std::string Hex() const;
  // Exactly 64 hexadecimal digits of lower case; empty for anything else.
  static std::optional<Sha256> FromHex(std::string_view hex);
  // Exactly 32 bytes; empty for anything else.
  static std::optional<Sha256> FromBytes(std::string_view raw);
  std::string_view view() const { return {reinterpret_cast<const char*>(bytes.data()), 32}; }
};

Sha256 Sha256Of(std::string_view bytes);

// SHA-1 as 40 lower-case hexadecimal digits: for protocols that name things so (Redis' scripts),
// never to trust something by it.
std::string Sha1Hex(std::string_view bytes);

// Hashes what comes in pieces.
class Sha256Stream {
 public:
  Sha256Stream();
  void Add(std::string_view bytes);
  // The hash of all that was added; the stream is spent.
  Sha256 Finish();

 private:
  struct Closer {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Closer> context_;
};

}  // namespace cloister

template <>
struct std::hash<cloister::Sha256> {
  std::size_t operator()(const cloister::Sha256& sha256) const noexcept {
    return std::hash<std::string_view>{}(sha256.view());
  }
};
