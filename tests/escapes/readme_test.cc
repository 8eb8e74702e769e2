// Holds sandbox/README.md to the attempts of this folder, both ways.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "sandbox/confine.h"
#include "tests/escapes/escapes.h"

namespace cloister {
namespace {

using ::testing::IsEmpty;

const std::filesystem::path kSource = CLOISTER_SOURCE_DIR;

// | A worker cannot ... | mechanism | file | test |
struct Row {
  std::string line;
  std::string mechanism;
  std::string file;
  std::string test;
};

std::string Trim(std::string text) {
  std::erase(text, '`');
  const auto first = text.find_first_not_of(' ');
  const auto last = text.find_last_not_of(' ');
  return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

std::vector<Row> ReadmeRows() {
  std::ifstream readme(kSource / "sandbox/README.md");
  std::vector<Row> rows;
  for (std::string text; std::getline(readme, text);) {
    if (!text.starts_with("| A worker cannot "))
      continue;
    std::istringstream cells(text.substr(1));
    Row row;
    for (std::string* cell : {&row.line, &row.mechanism, &row.file, &row.test}) {
      std::getline(cells, *cell, '|');
      *cell = Trim(*cell);
    }
    rows.push_back(row);
  }
  return rows;
}

std::vector<std::string> Words(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), std::istream_iterator<std::string>()};
}

std::set<std::string> AllWalls() {
  std::set<std::string> walls = {"user", "mount", "pid", "ipc", "uts", "cgroup", "net"};
  for (const auto& step : BlankSteps())
    walls.emplace(step.name);
  for (const auto& step : WorkerSteps())
    walls.emplace(step.name);
  return walls;
}

TEST(ReadmeTest, EachLineIsProvedByTheTestThatItNames) {
  std::map<std::string, Escape> escapes;
  for (const Escape& escape : AllEscapes())
    escapes[escape.test] = escape;
  EXPECT_GE(ReadmeRows().size(), 50U);
  for (const Row& row : ReadmeRows()) {
    const auto found = escapes.find(row.test);
    ASSERT_NE(found, escapes.end()) << "no attempt for: " << row.line;
    EXPECT_EQ(row.line, "A worker cannot " + std::string(found->second.line));
    for (const std::string& wall : Words(found->second.wall))
      EXPECT_THAT(Words(row.mechanism), testing::Contains(wall)) << row.line;
    EXPECT_TRUE(std::filesystem::exists(kSource / row.file)) << row.file;
    escapes.erase(found);
  }
  std::set<std::string> without_line;
  for (const auto& [test, escape] : escapes)
    without_line.insert(test);
  EXPECT_THAT(without_line, IsEmpty());
}

TEST(ReadmeTest, EachWallStandsInALine) {
  std::set<std::string> walls = AllWalls();
  for (const Escape& escape : AllEscapes()) {
    for (const std::string& wall : Words(escape.wall))
      walls.erase(wall);
  }
  EXPECT_THAT(walls, IsEmpty());
}

TEST(ReadmeTest, ControlsNameWallsThatExist) {
  const std::set<std::string> known = AllWalls();
  for (const Escape& escape : AllEscapes()) {
    for (const std::string& wall : Words(std::string(escape.wall) + " " + escape.beside))
      EXPECT_TRUE(known.contains(wall)) << escape.test << " leaves out " << wall;
  }
}

}  // namespace
}  // namespace cloister
