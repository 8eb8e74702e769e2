#include "daemon/statics/media_types.h"

#include <gtest/gtest.h>

namespace cloister {
namespace {

TEST(MediaTypesTest, TheEndOfTheNameDecides) {
  const std::pair<const char*, const char*> kRows[] = {
      {"static/app.js", "text/javascript; charset=utf-8"},
      {"a/b.min.css", "text/css; charset=utf-8"},
      {"index.html", "text/html; charset=utf-8"},
      {"INDEX.HTML", "text/html; charset=utf-8"},
      {"robots.txt", "text/plain; charset=utf-8"},
      {"data.json", "application/json"},
      {"logo.svg", "image/svg+xml; charset=utf-8"},
      {"favicon.ico", "image/vnd.microsoft.icon"},
      {"x.woff2", "font/woff2"},
      {"x.wasm", "application/wasm"},
      {"x.tar.gz", "application/gzip"},
      {"x.7z", "application/x-7z-compressed"},
      {"x.zst", "application/zstd"},
  };
  for (const auto& [path, type] : kRows)
    EXPECT_EQ(MediaTypeOf(path), type) << path;
}

TEST(MediaTypesTest, WhatIsNotKnownIsBytes) {
  for (const char* path : {"", "README", "a.b/c", "x.", "x.unknown", ".", "a/.js/x",
                           "x.averyveryverylongextension", "x.j\xc3\xa9"})
    EXPECT_EQ(MediaTypeOf(path), "application/octet-stream") << path;
}

}  // namespace
}  // namespace cloister
