#include "apis/base/sha256.h"

#include <openssl/evp.h>

#include <algorithm>
#include <span>

#include "apis/base/check.h"

namespace cloister {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

EVP_MD_CTX* Context(void* context) {
  return static_cast<EVP_MD_CTX*>(context);
}

std::string HexOf(std::span<const std::uint8_t> bytes) {
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    hex += kHexDigits[byte >> 4];
    hex += kHexDigits[byte & 15];
  }
  return hex;
}

}  // namespace

std::string Sha256::Hex() const {
  return HexOf(bytes);
}

std::optional<Sha256> Sha256::FromHex(std::string_view hex) {
  Sha256 out;
  if (hex.size() != 2 * out.bytes.size())
    return std::nullopt;
  for (std::size_t i = 0; i < out.bytes.size(); ++i) {
    const std::size_t high = kHexDigits.find(hex[2 * i]);
    const std::size_t low = kHexDigits.find(hex[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos)
      return std::nullopt;
    out.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return out;
}

std::optional<Sha256> Sha256::FromBytes(std::string_view raw) {
  Sha256 out;
  if (raw.size() != out.bytes.size())
    return std::nullopt;
  std::copy(raw.begin(), raw.end(), reinterpret_cast<char*>(out.bytes.data()));
  return out;
}

Sha256 Sha256Of(std::string_view bytes) {
  Sha256Stream stream;
  stream.Add(bytes);
  return stream.Finish();
}

std::string Sha1Hex(std::string_view bytes) {
  std::array<std::uint8_t, 20> digest = {};
  unsigned int size = 0;
  CHECK(EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha1(), nullptr) == 1);
  CHECK(size == digest.size());
  return HexOf(digest);
}

void Sha256Stream::Closer::operator()(void* context) const {
  EVP_MD_CTX_free(Context(context));
}

Sha256Stream::Sha256Stream() : context_(EVP_MD_CTX_new()) {
  CHECK(context_ != nullptr);
  CHECK(EVP_DigestInit_ex(Context(context_.get()), EVP_sha256(), nullptr) == 1);
}

void Sha256Stream::Add(std::string_view bytes) {
  CHECK(EVP_DigestUpdate(Context(context_.get()), bytes.data(), bytes.size()) == 1);
}

Sha256 Sha256Stream::Finish() {
  Sha256 out;
  unsigned int size = 0;
  CHECK(EVP_DigestFinal_ex(Context(context_.get()), out.bytes.data(), &size) == 1);
  CHECK(size == out.bytes.size());
  return out;
}

}  // namespace cloister
