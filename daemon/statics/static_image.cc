#include "daemon/statics/static_image.h"

#include <utility>

#include "apis/base/check.h"

namespace cloister {

StaticImage::StaticImage(std::shared_ptr<const UniqueFd> fd, Image image,
                         std::vector<Sha256> hashes)
    : fd_(std::move(fd)), image_(std::move(image)), hashes_(std::move(hashes)) {
  CHECK(hashes_.size() == image_.size());
}

std::optional<StaticFile> StaticImage::Find(std::string_view path) const {
  const std::size_t index = image_.LowerBound(path);
  if (index == image_.size())
    return std::nullopt;
  const ImageEntry entry = image_.At(index);
  if (entry.path != path)
    return std::nullopt;
  return StaticFile{.contents = entry.contents, .sha256 = hashes_[index]};
}

std::int64_t StaticImage::time_seconds() const {
  return static_cast<std::int64_t>(image_.time_seconds());
}

std::uint64_t StaticImage::size() const {
  return image_.bytes().size() + hashes_.size() * sizeof(Sha256);
}

}  // namespace cloister
