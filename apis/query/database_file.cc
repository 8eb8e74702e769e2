#include "apis/query/database_file.h"

namespace cloister {
namespace {

void PutBigEndian(std::string& page, std::size_t at, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    page[at++] = static_cast<char>(value >> shift & 0xff);
}

}  // namespace

// As https://www.sqlite.org/fileformat2.html has it.
std::string NewDatabaseFile() {
  constexpr std::string_view kMagic = "SQLite format 3";
  constexpr std::uint32_t kSqliteVersion = 3040001;
  constexpr std::size_t kRootPage = 100;
  constexpr std::size_t kContentStart = kDatabasePage - kPageSumSize;
  std::string page(kDatabasePage, '\0');
  page.replace(0, kMagic.size(), kMagic);
  page[16] = static_cast<char>(kDatabasePage >> 8);
  page[18] = 2;  // written and read with a log
  page[19] = 2;
  page[20] = static_cast<char>(kPageSumSize);
  page[21] = 64;
  page[22] = 32;
  page[23] = 32;
  PutBigEndian(page, 24, 1);  // changes
  PutBigEndian(page, 28, 1);  // pages
  PutBigEndian(page, 44, 4);  // the schema's format
  PutBigEndian(page, 56, 1);  // UTF-8
  PutBigEndian(page, 92, 1);  // changes, when the version was written
  PutBigEndian(page, 96, kSqliteVersion);
  page[kRootPage] = 13;  // a table's leaf, without cells
  page[kRootPage + 5] = static_cast<char>(kContentStart >> 8);
  page[kRootPage + 6] = static_cast<char>(kContentStart & 0xff);
  const std::uint64_t sum = PageSum(page);
  std::memcpy(page.data() + kContentStart, &sum, sizeof sum);
  return page;
}

}  // namespace cloister
