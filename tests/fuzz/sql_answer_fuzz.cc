// Answers to statements as the command line gets them, of a process that a tenant may have taken
// over: each is refused, or what it has is a part of it and steers no terminal.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "apis/base/check.h"
#include "daemon/cli/console.h"
#include "daemon/cli/sql_answer.h"

namespace cloister {
namespace {

void CheckShown(const SqlAnswer& answer, SqlFormat format) {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* const out = open_memstream(&text, &size);
  CHECK(out != nullptr);
  {
    const bool is_json = format == SqlFormat::kJson;
    Console console({.out = out,
                     .err = out,
                     .format = is_json ? Console::Format::kJson : Console::Format::kText,
                     .out_terminal = true});
    ShowRows(console, answer, format);
  }
  (void)std::fclose(out);
  const std::string shown(text, size);
  std::free(text);  // NOLINT(cppcoreguidelines-no-malloc): of open_memstream
  CHECK(Harmless(shown) == shown);
}

void Check(const std::string& bytes) {
  (void)SqlAnswer::SaysTransaction(bytes);
  const Attempt<SqlAnswer> answer = SqlAnswer::Read(bytes);
  if (!answer.ok())
    return;
  std::size_t size = 0;
  for (std::size_t i = 0; i < answer.value().rows(); ++i)
    for (const QueryValue& value : answer.value().row(i))
      size += value.bytes.size();
  CHECK(size <= bytes.size());
  CheckShown(answer.value(), SqlFormat::kTable);
  CheckShown(answer.value(), SqlFormat::kJson);
  CheckShown(answer.value(), SqlFormat::kCsv);
}

}  // namespace
}  // namespace cloister

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cloister::Check(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
