#pragma once

// Bounds-checked writing and reading of little-endian integers and byte strings.
//
// A Reader never reads past its bytes: after the first failure every read yields zero or empty and
// ok() stays false, so a decoder checks once, at its end. Strings are a u32 or u16 length, then the
// bytes; read strings are views into the bytes given to the Reader.

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace cloister {

static_assert(std::endian::native == std::endian::little, "the wire is little-endian");

class WireWriter {
 public:
  explicit WireWriter(std::string& out) : out_(out) {}

  template <std::unsigned_integral T>
  void Int(T value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void U8(std::uint8_t value) { Int(value); }
  void U16(std::uint16_t value) { Int(value); }
  void U32(std::uint32_t value) { Int(value); }
  void U64(std::uint64_t value) { Int(value); }
  // The caller has checked that the text fits in a u16 length.
  void Str16(std::string_view text) {
    U16(static_cast<std::uint16_t>(text.size()));
    out_ += text;
  }
  void Str32(std::string_view text) {
    U32(static_cast<std::uint32_t>(text.size()));
    out_ += text;
  }
  void Raw(std::string_view bytes) { out_ += bytes; }

 private:
  std::string& out_;
};

class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  template <std::unsigned_integral T>
  T Int() {
    T value = 0;
    if (rest_.size() < sizeof value) {
      Fail();
      return 0;
    }
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
    return value;
  }
  std::uint8_t U8() { return Int<std::uint8_t>(); }
  std::uint16_t U16() { return Int<std::uint16_t>(); }
  std::uint32_t U32() { return Int<std::uint32_t>(); }
  std::uint64_t U64() { return Int<std::uint64_t>(); }
  std::string_view Str16() { return Take(U16()); }
  std::string_view Str32() { return Take(U32()); }
  std::string_view Take(std::size_t size) {
    if (size > rest_.size()) {
      Fail();
      return {};
    }
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  // All that is left.
  std::string_view Rest() { return Take(rest_.size()); }

  bool ok() const { return ok_; }
  // Whether everything was read and nothing failed.
  bool AtEnd() const { return ok_ && rest_.empty(); }

 private:
  void Fail() {
    ok_ = false;
    rest_ = {};
  }

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace cloister
