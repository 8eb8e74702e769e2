#include "apis/backends/sodium.h"

#include <sodium.h>

#include <array>
#include <utility>

#include "apis/base/check.h"

namespace cloister {
namespace {

static_assert(SealKey::kSize == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
static_assert(SealKey::kOverhead == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES +
                                        crypto_aead_xchacha20poly1305_ietf_ABYTES);

constexpr std::size_t kNonceSize = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t kIdSize = 16;  // the smallest hash that the library makes
constexpr std::size_t kIdShown = 8;

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* Bytes(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

void Begin() {
  CHECK(::sodium_init() >= 0);
}

std::string IdOf(std::string_view key) {
  constexpr std::string_view kPurpose = "cloister key id";
  std::array<unsigned char, kIdSize> hash = {};
  CHECK(::crypto_generichash(hash.data(), hash.size(), Bytes(kPurpose), kPurpose.size(), Bytes(key),
                             key.size()) == 0);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string id;
  for (std::size_t i = 0; i < kIdShown; ++i) {
    id += kDigits[hash[i] >> 4U];
    id += kDigits[hash[i] & 15U];
  }
  return id;
}

}  // namespace

void WipeMemory(void* memory, std::size_t size) {
  ::sodium_memzero(memory, size);
}

void WipeBytes(std::string& bytes) {
  WipeMemory(bytes.data(), bytes.capacity());
}

SealKey::SealKey(SecretText bytes) : bytes_(std::move(bytes)), id_(IdOf(bytes_.text())) {}

SealKey SealKey::Generate() {
  Begin();
  std::string bytes(kSize, '\0');
  ::randombytes_buf(bytes.data(), bytes.size());
  return SealKey(SecretText(std::move(bytes)));
}

Result<SealKey> SealKey::FromBytes(std::string_view bytes) {
  Begin();
  if (bytes.size() != kSize)
    return Error{ErrorCode::kInvalidArgument, "a key has " + std::to_string(kSize) +
                                                  " bytes, not " + std::to_string(bytes.size())};
  return SealKey(SecretText(std::string(bytes)));
}

std::string SealKey::Seal(std::string_view place, std::string_view plain) const {
  const std::string bound = id_ + '\0' + std::string(place);
  std::string sealed(kOverhead + plain.size(), '\0');
  ::randombytes_buf(sealed.data(), kNonceSize);
  CHECK(::crypto_aead_xchacha20poly1305_ietf_encrypt(
            Bytes(sealed) + kNonceSize, nullptr, Bytes(plain), plain.size(), Bytes(bound),
            bound.size(), nullptr, Bytes(sealed), Bytes(bytes())) == 0);
  return sealed;
}

Result<SecretText> SealKey::Open(std::string_view place, std::string_view sealed) const {
  const std::string bound = id_ + '\0' + std::string(place);
  const Error refused{ErrorCode::kInvalidArgument, "the sealed value does not open with the key " +
                                                       id_ +
                                                       ": it is of another key or place, or "
                                                       "damaged"};
  if (sealed.size() < kOverhead)
    return refused;
  SecretText plain(std::string(sealed.size() - kOverhead, '\0'));
  if (::crypto_aead_xchacha20poly1305_ietf_decrypt(
          Bytes(plain.text()), nullptr, nullptr, Bytes(sealed) + kNonceSize,
          sealed.size() - kNonceSize, Bytes(bound), bound.size(), Bytes(sealed),
          Bytes(bytes())) != 0)
    return refused;
  return plain;
}

}  // namespace cloister
