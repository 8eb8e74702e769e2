#pragma once

// An image: the files of a release (or of the standard library) with their bytecode, in one
// read-only memory file that all workers of the release share. docs/image.md shows the layout.
//
//   header   64 bytes: magic "CLOIMG01", u32 entry count, u32 zero, u64 entries offset,
//            u64 names offset, u64 names size, u64 total size, u64 time (seconds since 1970), zeros
//   entries  48 bytes each, sorted by path as bytes: u64 name offset (in names), u32 name size,
//            u32 zero, u64 data offset, u64 data size, u64 code offset, u64 code size
//   names    the paths, relative, '/'-separated, without a leading '/'
//   data     contents and marshalled code, each aligned to 8
//
// `code` is the marshalled code object of a .py file (code size 0: none). Built by the node from
// contents whose hashes were verified (I5); read by workers, who check every bound once, in Open().

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"

namespace cloister {

// Collects files and makes the image. Paths must be unique (CHECKed) and may come in any order.
class ImageBuilder {
 public:
  // When the release was received: the modification time that its files show. Default: 1980-01-01.
  void SetTime(std::uint64_t seconds_since_1970) { time_seconds_ = seconds_since_1970; }
  // `code` may be empty.
  void Add(std::string path, std::string contents, std::string code);
  // A sealed memfd (write, grow, shrink, seal) named `name`, close-on-exec.
  Result<UniqueFd> BuildMemfd(const std::string& name) const;
  // The same bytes into any descriptor (tests; the platform's image on disk).
  Result<void> WriteTo(int fd) const;

 private:
  struct File {
    std::string path;
    std::string contents;
    std::string code;
  };
  // Indices of files_ in the order of their paths.
  std::vector<std::size_t> SortedOrder() const;
  // Header, entries and names: all that stands in front of the data.
  std::string Index(const std::vector<std::size_t>& order) const;

  std::vector<File> files_;
  std::uint64_t time_seconds_ = 315532800;
};

struct ImageEntry {
  std::string_view path;
  std::string_view contents;
  std::string_view code;
};

// A mapped image. Moveable; unmaps when destroyed. Lookups are binary searches in the mapping:
// nothing is copied, so a thousand workers share one index.
class Image {
 public:
  // Maps `fd` read-only after checking that it is sealed against every change (unless `need_seals`
  // is kNo: a file the operator installed) and that every offset lies inside. Keeps no descriptor.
  enum class NeedSeals { kYes, kNo };
  static Result<Image> Open(int fd, NeedSeals need_seals);

  Image(Image&& other) noexcept;
  Image& operator=(Image&& other) noexcept;
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;
  ~Image();

  std::size_t size() const { return count_; }
  ImageEntry At(std::size_t index) const;
  std::optional<ImageEntry> Find(std::string_view path) const;
  // The index of the first entry whose path is not less than `path`: start of a directory listing.
  std::size_t LowerBound(std::string_view path) const;
  std::string_view bytes() const { return bytes_; }
  std::uint64_t time_seconds() const { return time_seconds_; }

 private:
  explicit Image(std::string_view bytes) : bytes_(bytes) {}
  // Checks header, entries and names; sets what the lookups use.
  Result<void> Check();
  Result<void> CheckEntry(std::size_t index) const;
  std::string_view PathAt(std::size_t index) const;

  std::string_view bytes_;  // the mapping; empty after a move
  std::string_view entries_;
  std::string_view names_;
  std::size_t count_ = 0;
  std::uint64_t time_seconds_ = 0;
};

}  // namespace cloister
