#pragma once

// What `cloister init` writes, compiled in: the command line is one file.

#include <span>
#include <string_view>

namespace cloister {

struct InitFile {
  std::string_view kind;  // of app: "wsgi", "flask" ...; "all": of every one
  std::string_view path;
  std::string_view text;  // with @NAME@ where the app's name belongs
};

std::span<const InitFile> InitFiles();

}  // namespace cloister
