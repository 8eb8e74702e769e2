#include "daemon/cli/db_shell.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <utility>

#include "daemon/cli/app_ref.h"
#include "daemon/cli/db_dot.h"
#include "daemon/cli/interrupts.h"
#include "daemon/cli/line_editor.h"
#include "daemon/cli/shell_client.h"
#include "daemon/cli/sql_answer.h"
#include "daemon/cli/sql_reader.h"

namespace cloister {
namespace {

const char* EngineName(SqlDialect dialect) {
  switch (dialect) {
    case SqlDialect::kSqlite:
      return "SQLite";
    case SqlDialect::kPostgresql:
      return "PostgreSQL";
    case SqlDialect::kMariadb:
      return "MariaDB";
  }
  return "";
}

using SteadyClock = std::chrono::steady_clock;

SqlFormat FormatOf(const Console& console, const DbShellWish& wish) {
  if (wish.csv)
    return SqlFormat::kCsv;
  return console.json() ? SqlFormat::kJson : SqlFormat::kTable;
}

// --- Without a terminal: a script.

Failure InLine(Failure failure, std::size_t line) {
  const std::string where = fmt::format("in the statement of line {}", line);
  failure.detail = failure.detail.empty() ? where : failure.detail + "\n" + where;
  return failure;
}

// Whether more of it may come.
enum class Input { kOpen, kEnded };

// One that is known and does not leave.
Attempt<void> RunDot(ShellClient& shell, Console& console, const DotCommand& command,
                     SqlFormat format) {
  if (command.kind == DotCommand::Kind::kSay) {
    console.Line(command.text);
    return {};
  }
  const SqlAnswer answer = TRY(shell.Execute(command.text));
  if (answer.rows() == 0)
    console.Note("There is none.");
  else if (command.kind == DotCommand::Kind::kQuery || format != SqlFormat::kTable)
    ShowRows(console, answer, format);
  else
    for (std::size_t i = 0; i < answer.rows(); ++i)
      console.Line(Harmless(answer.row(i).front().bytes) + ";");
  return {};
}

Attempt<void> RunWhole(ShellClient& shell, Console& console, SqlReader& reader, SqlFormat format,
                       Input input) {
  while (true) {
    std::optional<SqlStatement> statement = reader.Next();
    if (!statement && input == Input::kEnded)
      statement = reader.TakeRest();
    if (!statement)
      return {};
    if (statement->text.starts_with('.'))
      return InLine({ExitCode::kUsage, "usage", "what begins with a dot is no SQL", "",
                     "it is for the prompt, and for -c: cloister db shell APP -c .tables"},
                    statement->line);
    const Attempt<SqlAnswer> answer = shell.Execute(statement->text);
    if (!answer.ok())
      return InLine(answer.error(), statement->line);
    ShowRows(console, answer.value(), format);
  }
}

Attempt<void> RunScript(ShellClient& shell, Console& console, const DbShellWish& wish) {
  SqlReader reader(shell.dialect());
  const SqlFormat format = FormatOf(console, wish);
  if (wish.has_command && IsDotCommand(wish.command)) {
    const DotCommand command = ReadDotCommand(wish.command, shell.dialect());
    if (command.kind == DotCommand::Kind::kUnknown)
      return Failure{ExitCode::kUsage, "usage", "there is no such command", Harmless(wish.command),
                     "-c .help lists them"};
    if (command.kind == DotCommand::Kind::kQuit)
      return {};
    return RunDot(shell, console, command, format);
  }
  if (wish.has_command) {
    reader.Feed(wish.command);
    TRY(RunWhole(shell, console, reader, format, Input::kEnded));
  }
  std::array<char, 65536> part{};
  for (bool ended = wish.has_command; !ended;) {
    const ssize_t got = ::read(STDIN_FILENO, part.data(), part.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return FailureOf(SystemError("reading standard input"), "file_unreadable");
    ended = got == 0;
    reader.Feed({part.data(), static_cast<std::size_t>(got)});
    TRY(RunWhole(shell, console, reader, format, ended ? Input::kEnded : Input::kOpen));
    if (reader.size() > ShellClient::kSqlMax)
      return StatementTooLong();
  }
  if (shell.in_transaction())
    return Failure{ExitCode::kFailed, "transaction_open",
                   "the SQL ended within a transaction, which was rolled back", "",
                   "end it with COMMIT"};
  return {};
}

// --- On a terminal: a prompt.

std::string HistoryFile() {
  const char* const home = std::getenv("HOME");
  return home == nullptr || *home == '\0' ? "" : std::string(home) + "/.cloister_sql_history";
}

class Prompt {
 public:
  Prompt(ShellClient& shell, Console& console, LineEditor& editor, const DbShellWish& wish,
         std::string name)
      : shell_(shell),
        console_(console),
        editor_(editor),
        format_(FormatOf(console, wish)),
        name_(std::move(name)),
        reader_(shell.dialect()) {}

  // Why it ended, unless somebody left it.
  Attempt<void> Run();

 private:
  std::string Text() const;
  // False: it is to end.
  bool TakeLine(const std::string& line);
  bool TakeDot(const std::string& line);
  void Execute(const std::string& sql);
  void Show(const Failure& failure);

  ShellClient& shell_;
  Console& console_;
  LineEditor& editor_;
  SqlFormat format_;
  std::string name_;
  SqlReader reader_;
  std::string entry_;            // of the history: the lines of one statement
  std::optional<Failure> gone_;  // the app
};

// "demo/shop> ", in a transaction "demo/shop*> ", within a statement "       ...> ".
std::string Prompt::Text() const {
  if (reader_.at_start())
    return name_ + (shell_.in_transaction() ? "*> " : "> ");
  return std::string(name_.size() - std::min<std::size_t>(name_.size(), 3), ' ') + "...> ";
}

Attempt<void> Prompt::Run() {
  std::string line;
  while (true) {
    const LineEditor::Event event = editor_.Read(Text(), line);
    if (event == LineEditor::Event::kEnd) {
      console_.Line("");
      break;
    }
    if (event == LineEditor::Event::kInterrupted) {
      console_.Line("^C");
      reader_.Clear();
      entry_.clear();
      continue;
    }
    if (!TakeLine(line))
      break;
  }
  if (gone_)
    return *gone_;
  if (shell_.in_transaction())
    console_.Note("The transaction is rolled back.");
  return {};
}

bool Prompt::TakeLine(const std::string& line) {
  const bool is_first = reader_.at_start();
  const bool is_blank = line.find_first_not_of(" \t\r\n") == std::string::npos;
  if (is_first && is_blank)
    return true;
  if (is_first && IsDotCommand(line)) {
    editor_.Remember(line);
    return TakeDot(line);
  }
  entry_ += line;
  reader_.Feed(line);
  bool any = false;
  while (const std::optional<SqlStatement> statement = reader_.Next()) {
    if (!std::exchange(any, true))
      editor_.Remember(std::exchange(entry_, {}));
    Execute(statement->text);
    if (gone_)
      return false;
  }
  // A comment alone, or behind a semicolon, begins no statement.
  if (reader_.is_blank()) {
    reader_.Clear();
    entry_.clear();
  }
  return true;
}

bool Prompt::TakeDot(const std::string& line) {
  const DotCommand command = ReadDotCommand(line, shell_.dialect());
  if (command.kind == DotCommand::Kind::kQuit)
    return false;
  if (command.kind == DotCommand::Kind::kUnknown)
    console_.Line("There is no such command here; .help lists them.");
  else if (const Attempt<void> done = RunDot(shell_, console_, command, format_); !done.ok())
    Show(done.error());
  return !gone_;
}

// With the app the prompt ends.
void Prompt::Show(const Failure& failure) {
  if (failure.code == "app_not_found" || failure.code == "tenant_not_found")
    gone_ = failure;
  else
    console_.Show(failure);
}

void Prompt::Execute(const std::string& sql) {
  const SteadyClock::time_point began = SteadyClock::now();
  const Attempt<SqlAnswer> answer = shell_.Execute(sql);
  const double millis =
      std::chrono::duration<double, std::milli>(SteadyClock::now() - began).count();
  if (!answer.ok())
    return Show(answer.error());
  ShowRows(console_, answer.value(), format_);
  const auto rows = [](std::uint64_t count) {
    return fmt::format("{} row{}", count, count == 1 ? "" : "s");
  };
  std::string what = "done";
  if (!answer.value().columns().empty())
    what = rows(answer.value().rows());
  else if (const auto changed = answer.value().changed())
    what = rows(*changed) + " changed";
  console_.Note(fmt::format("({}, {:.1f} ms)", what, millis));
}

Attempt<void> RunPrompt(AdminApi& api, Console& console, const DbShellWish& wish,
                        const ShellClient::Target& target) {
  Result<Interrupts> caught = Interrupts::Catch();
  if (!caught.ok())
    return FailureOf(std::move(caught).error(), "internal");
  Interrupts interrupts = std::move(caught).value();
  ShellClient shell(api, target, &interrupts);
  TRY(shell.Open());
  auto editor = LineEditor::Create(interrupts, HistoryFile());
  if (!editor.ok())
    return FailureOf(std::move(editor).error(), "internal");
  const std::string app = target.app.ToString();
  const char* const engine = EngineName(shell.dialect());
  if (target.snapshot)
    console.Note(fmt::format("Snapshot {} of the database of {}: {}, only to read. .help for help.",
                             *target.snapshot, app, engine));
  else
    console.Note(
        fmt::format("The database of {}: {}, {}. .help for help.", app, engine,
                    target.write ? "to read and write" : "only to read (--write: to write)"));
  return Prompt(shell, console, *editor.value(), wish, app).Run();
}

}  // namespace

Attempt<void> RunDbShell(AdminApi& api, Console& console, const DbShellWish& wish) {
  const ShellClient::Target target{
      .app = TRY(ResolveApp(api, wish.app)), .write = wish.write, .snapshot = wish.snapshot};
  if (!wish.has_command && !console.json() && ::isatty(STDIN_FILENO) == 1 &&
      ::isatty(STDOUT_FILENO) == 1)
    return RunPrompt(api, console, wish, target);
  ShellClient shell(api, target, nullptr);
  TRY(shell.Open());
  return RunScript(shell, console, wish);
}

}  // namespace cloister
