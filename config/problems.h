#pragma once

// Collects what is wrong with a file, so that one run shows all of it.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apis/base/result.h"

namespace cloister {

class FileProblems {
 public:
  explicit FileProblems(std::string_view file_name) : file_name_(file_name) {}

  void Add(std::uint32_t line, std::string why) { problems_.emplace_back(line, std::move(why)); }

  // kInvalidArgument with a line "FILE:LINE: why" for each problem, in the order of the file.
  Result<void> Finish() {
    if (problems_.empty())
      return {};
    constexpr std::size_t kShownMax = 20;
    std::stable_sort(problems_.begin(), problems_.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    std::string message;
    for (std::size_t i = 0; i < std::min(problems_.size(), kShownMax); ++i) {
      const auto& [line, why] = problems_[i];
      message += (i == 0 ? "" : "\n") + file_name_ + ":" + std::to_string(line) + ": " + why;
    }
    if (problems_.size() > kShownMax)
      message += "\nand " + std::to_string(problems_.size() - kShownMax) + " more";
    return Error{ErrorCode::kInvalidArgument, std::move(message)};
  }

 private:
  std::string file_name_;
  std::vector<std::pair<std::uint32_t, std::string>> problems_;
};

}  // namespace cloister
