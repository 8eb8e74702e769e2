#include "config/toml.h"

#include <algorithm>
#include <set>

#include "apis/base/unicode.h"
#include "config/toml_scanner.h"

namespace cloister {
namespace {

constexpr std::size_t kTablesMax = 64;

Error At(std::string_view file_name, std::uint32_t line, std::string_view why) {
  return Error{ErrorCode::kInvalidArgument,
               std::string(file_name) + ":" + std::to_string(line) + ": " + std::string(why)};
}

// A line without its '\n' may end in '\r'; else it has no control character but tabs.
bool HasControl(std::string_view line) {
  if (line.ends_with('\r'))
    line.remove_suffix(1);
  return std::any_of(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
  });
}

Result<void> CheckText(std::string_view text, std::string_view file_name) {
  for (std::uint32_t line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view content = text.substr(0, end);
    if (!IsUtf8(content))
      return At(file_name, line, "this line is not UTF-8");
    // The last line has no '\n', so a '\r' at its end is one too many.
    if (HasControl(content) || (end == text.size() && content.ends_with('\r')))
      return At(file_name, line, "this line has a control character");
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return {};
}

std::string Join(const std::vector<std::string>& parts, std::size_t from) {
  std::string joined;
  for (std::size_t i = from; i < parts.size(); ++i)
    joined += (i == from ? "" : ".") + parts[i];
  return joined;
}

// Reads one document, line by line.
class DocumentReader {
 public:
  explicit DocumentReader(std::string_view text) : scanner_(text) {}

  // Where it stopped, after an error.
  std::uint32_t line() const { return scanner_.line(); }

  Result<TomlDocument> Read() {
    for (;;) {
      scanner_.SkipLines();
      line_ = scanner_.line();
      if (scanner_.at_end())
        return std::move(document_);
      TRY(ReadLine());
    }
  }

 private:
  Result<void> ReadLine() {
    if (scanner_.Take("[["))
      TRY(ReadHeader("]]"));
    else if (scanner_.Take("["))
      TRY(ReadHeader("]"));
    else
      TRY(ReadEntry());
    return scanner_.EndLine();
  }

  Result<void> ReadHeader(std::string_view closing) {
    header_ = TRY(scanner_.ReadKey());
    if (!scanner_.Take(closing))
      return Wrong("expected '" + std::string(closing) + "' after the name");
    if (closing == "]]")
      return BeginListed();
    TRY(Claim(header_, "[" + Join(header_, 0) + "]"));
    if (header_.size() == 1)
      TRY(TableOf(header_[0]));
    return {};
  }

  // The next table of a list: what stood in the one before it may stand here again.
  Result<void> BeginListed() {
    if (!lists_.contains(header_)) {
      TRY(Claim(header_, "[" + Join(header_, 0) + "]"));
      lists_.insert(header_);
    }
    ForgetBelow(claimed_);
    ForgetBelow(lists_);
    if (header_.size() > 1)
      return Keep(header_, std::monostate());
    TRY(AddTable(header_[0]))->in_list = true;
    return {};
  }

  void ForgetBelow(std::set<std::vector<std::string>>& paths) const {
    const auto first = paths.upper_bound(header_);
    const auto last = std::find_if(first, paths.end(), [this](const auto& path) {
      return path.size() < header_.size() ||
             !std::equal(header_.begin(), header_.end(), path.begin());
    });
    paths.erase(first, last);
  }

  Result<void> ReadEntry() {
    const std::vector<std::string> key = TRY(scanner_.ReadKey());
    std::vector<std::string> path = header_;
    path.insert(path.end(), key.begin(), key.end());
    TRY(Claim(path, "the key '" + path.back() + "'"));
    if (!scanner_.Take("="))
      return Wrong("expected '=' after the key");
    scanner_.SkipBlanks();
    return Keep(path, TRY(scanner_.ReadValue()));
  }

  // Each full path is there once in its table, and is either a value or has others below it.
  Result<void> Claim(const std::vector<std::string>& path, const std::string& what) {
    if (!claimed_.insert(path).second)
      return Wrong(what + " is there twice");
    return {};
  }

  Result<void> Keep(const std::vector<std::string>& path, TomlValue value) {
    if (path.size() == 1) {
      document_.loose.push_back(TomlEntry{path[0], line_, std::move(value)});
      return {};
    }
    if (path.size() > 2)
      value = std::monostate();
    TomlTable* table = TRY(TableOf(path[0]));
    table->entries.push_back(TomlEntry{Join(path, 1), line_, std::move(value)});
    return {};
  }

  // Of a list the last one, which is still being read.
  Result<TomlTable*> TableOf(const std::string& name) {
    const auto found = std::find_if(document_.tables.rbegin(), document_.tables.rend(),
                                    [&name](const TomlTable& table) { return table.name == name; });
    if (found != document_.tables.rend())
      return &*found;
    return AddTable(name);
  }

  Result<TomlTable*> AddTable(const std::string& name) {
    if (document_.tables.size() == kTablesMax)
      return Wrong("there are more than 64 tables");
    document_.tables.push_back(TomlTable{.name = name, .line = line_, .entries = {}});
    return &document_.tables.back();
  }

  static Error Wrong(std::string why) { return Error{ErrorCode::kInvalidArgument, std::move(why)}; }

  TomlScanner scanner_;
  std::uint32_t line_ = 1;  // where the current header or entry begins
  std::vector<std::string> header_;
  std::set<std::vector<std::string>> claimed_;
  std::set<std::vector<std::string>> lists_;  // of those claimed
  TomlDocument document_;
};

}  // namespace

Result<TomlDocument> ParseToml(std::string_view text, std::string_view file_name,
                               std::size_t size_max) {
  if (text.size() > size_max)
    return At(file_name, 1,
              "the file has " + std::to_string(text.size()) + " bytes; at most " +
                  std::to_string(size_max) + " are read");
  TRY(CheckText(text, file_name));
  DocumentReader reader(text);
  Result<TomlDocument> document = reader.Read();
  if (!document.ok())
    return At(file_name, reader.line(), document.error().message);
  return document;
}

}  // namespace cloister
