#pragma once

// The image of a release as the node itself reads it: the contents of its files, with the hashes
// that they are known by.

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "apis/base/names.h"
#include "apis/base/result.h"
#include "apis/base/sha256.h"
#include "apis/base/unique_fd.h"
#include "sandbox/image/image.h"

namespace cloister {

struct StaticFile {
  std::string_view contents;  // in the image's mapping
  Sha256 sha256;
};

// Immutable; what it gives views of lives as long as it does.
class StaticImage {
 public:
  // `hashes`: of the image's files, in the order of its entries (checked: there is one for each).
  StaticImage(std::shared_ptr<const UniqueFd> fd, Image image, std::vector<Sha256> hashes);

  std::optional<StaticFile> Find(std::string_view path) const;
  // When the release was received: seconds since 1970.
  std::int64_t time_seconds() const;
  // Of memory that it keeps.
  std::uint64_t size() const;

 private:
  // Not read here: while it is held, nobody builds the image a second time.
  std::shared_ptr<const UniqueFd> fd_;
  Image image_;
  std::vector<Sha256> hashes_;
};

// Gives the image of a release. Implemented by the releases; it may have to be built from the
// store: the answer comes later, never from within the call.
class StaticSource {
 public:
  virtual ~StaticSource() = default;
  using StaticDone = std::function<void(Result<std::shared_ptr<const StaticImage>>)>;
  virtual void LoadStatics(ReleaseId release, StaticDone done) = 0;
};

}  // namespace cloister
