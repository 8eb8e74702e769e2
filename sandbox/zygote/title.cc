#include "sandbox/zygote/title.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>

namespace cloister {
namespace {

struct TitleArea {
  char* begin = nullptr;
  char* end = nullptr;
};

TitleArea& Area() {
  static TitleArea area;
  return area;
}

// The end of `strings` as far as they follow each other without a gap.
char* EndOf(char** strings, char* end) {
  for (char** string = strings; *string != nullptr && *string == end; ++string)
    end += std::strlen(*string) + 1;
  return end;
}

}  // namespace

void RememberTitleArea(int argc, char** argv) {
  if (argc == 0)
    return;
  Area() = {.begin = argv[0], .end = EndOf(environ, EndOf(argv, argv[0]))};
}

void SetTitle(std::string_view title) {
  (void)::prctl(PR_SET_NAME, std::string(title.substr(0, 15)).c_str());
  const TitleArea area = Area();
  if (area.begin == nullptr)
    return;
  const auto size = static_cast<std::size_t>(area.end - area.begin);
  std::memset(area.begin, 0, size);
  std::memcpy(area.begin, title.data(), std::min(title.size(), size - 1));
}

}  // namespace cloister
