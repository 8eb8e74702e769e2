#pragma once

// A stream whose text a test can read: what a Console wrote.

#include <cstdio>
#include <cstdlib>
#include <string>

namespace cloister {

class Written {
 public:
  Written() : file_(::open_memstream(&text_, &size_)) {}
  Written(const Written&) = delete;
  Written& operator=(const Written&) = delete;
  ~Written() {
    (void)std::fclose(file_);
    std::free(text_);
  }

  std::FILE* file() { return file_; }
  std::string text() {
    (void)std::fflush(file_);
    return {text_, size_};
  }

 private:
  char* text_ = nullptr;
  std::size_t size_ = 0;
  std::FILE* file_;
};

}  // namespace cloister
