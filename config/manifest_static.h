#pragma once

// [static] of the manifest: paths that the node serves itself from files of the bundle.
//
//   "/assets/" = "static/"                                every file below the folder
//   "/favicon.ico" = "static/favicon.ico"                 one file
//   "/fonts/" = { folder = "fonts/", cache = "365d" }     the same, and how long clients may keep
//   it
//
// Of the rows that fit a path the longest decides. Paths are written as the app would see them in
// PATH_INFO: decoded. docs/apps/entry-points.md says what is served, and how.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/units.h"
#include "config/problems.h"
#include "config/toml.h"

namespace cloister {

inline constexpr std::string_view kStaticTable = "static";
inline constexpr std::size_t kStaticRoutesMax = 64;

struct StaticRoute {
  std::string path = {};    // "/assets/": everything below; "/favicon.ico": this path alone
  std::string target = {};  // in the bundle: "static/" with its '/', or "static/favicon.ico"
  Seconds cache{0};         // how long a client may use it without asking; 0: it asks each time
  std::uint32_t line = 0;   // of the manifest, for messages

  bool is_folder() const { return path.ends_with('/'); }
};

// The rows of `table`, a [static], or the reasons why not, into `problems`. Longest path first.
std::vector<StaticRoute> ReadStatics(const TomlTable& table, FileProblems& problems);

// What of a bundle the rows are checked against.
struct StaticBundle {
  // Whether the bundle has this file.
  std::function<bool(std::string_view path)> has_file;
  // Whether it has a file below this folder, which ends in '/'.
  std::function<bool(std::string_view folder)> has_folder;
  std::string_view web_entry;  // module:callable, whose module no row may publish
};

// kInvalidArgument with a line "FILE:LINE: why" for each row whose file or folder the bundle has
// not, or that would publish the module of the entry point.
Result<void> CheckStatics(const std::vector<StaticRoute>& routes, const StaticBundle& bundle,
                          std::string_view file_name);

// The row that serves `path` (decoded); null: none. `routes`: longest path first.
const StaticRoute* FindStatic(const std::vector<StaticRoute>& routes, std::string_view path);

// As a text of one line a row, for the store; empty for no rows. kInvalidArgument when a text is
// none that StaticsText made.
std::string StaticsText(const std::vector<StaticRoute>& routes);
Result<std::vector<StaticRoute>> ParseStaticsText(std::string_view text);

}  // namespace cloister
