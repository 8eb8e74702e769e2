#pragma once

// Sealed values: what only the holder of a key reads, and only in its place.
//
// XChaCha20-Poly1305 with a random nonce. The place that a value is sealed for is authenticated
// with it: moved to another place, or changed by one bit, it does not open. The only file that
// includes sodium.h.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "apis/base/result.h"

namespace cloister {

// Overwrites the bytes in a way that no compiler leaves out.
void WipeMemory(void* memory, std::size_t size);
void WipeBytes(std::string& bytes);

// Text that is overwritten when it goes. Move-only; a move leaves nothing behind.
class SecretText {
 public:
  SecretText() = default;
  explicit SecretText(std::string text) : text_(std::move(text)) {}
  SecretText(SecretText&& other) noexcept { Take(other); }
  SecretText& operator=(SecretText&& other) noexcept {
    if (this != &other)
      Take(other);
    return *this;
  }
  SecretText(const SecretText&) = delete;
  SecretText& operator=(const SecretText&) = delete;
  ~SecretText() { WipeBytes(text_); }

  const std::string& text() const { return text_; }
  std::string& text() { return text_; }

 private:
  void Take(SecretText& other) {
    WipeBytes(text_);
    // Short text lies in the object itself: the other's is wiped, too.
    text_ = other.text_;
    WipeBytes(other.text_);
    other.text_.clear();
  }

  std::string text_;
};

class SealKey {
 public:
  static constexpr std::size_t kSize = 32;
  // What sealing adds to a value.
  static constexpr std::size_t kOverhead = 24 + 16;

  static SealKey Generate();
  // kInvalidArgument: not kSize bytes.
  static Result<SealKey> FromBytes(std::string_view bytes);

  // 16 hexadecimal digits that name the key and tell nothing of it.
  const std::string& id() const { return id_; }
  std::string_view bytes() const { return bytes_.text(); }

  // `place` is all that the value belongs to. The key's id is part of it.
  std::string Seal(std::string_view place, std::string_view plain) const;
  // kInvalidArgument: sealed by another key, for another place, or damaged.
  Result<SecretText> Open(std::string_view place, std::string_view sealed) const;

 private:
  explicit SealKey(SecretText bytes);

  SecretText bytes_;
  std::string id_;
};

}  // namespace cloister
