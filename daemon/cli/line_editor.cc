#include "daemon/cli/line_editor.h"

#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <string_view>
#include <utility>

namespace cloister {
namespace {

constexpr int kEntriesMax = 1000;

// What people type is UTF-8, also where no locale is set.
void UseUtf8() {
  const char* const set = std::setlocale(LC_CTYPE, "");
  if (set == nullptr || std::string_view(::nl_langinfo(CODESET)) != "UTF-8")
    (void)std::setlocale(LC_CTYPE, "C.UTF-8");
}

}  // namespace

struct LineEditor::Parts {
  explicit Parts(Interrupts& caught, std::string file)
      : interrupts(caught), history_file(std::move(file)) {}
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;
  ~Parts() {
    if (edit != nullptr)
      ::el_end(edit);
    if (past != nullptr)
      ::history_end(past);
  }

  // The next character of the terminal; -1: an interrupt, 0: the end.
  int Get(wchar_t* character);
  static int OnGet(EditLine* edit, wchar_t* character) {
    Parts* parts = nullptr;
    ::el_get(edit, EL_CLIENTDATA, &parts);
    return parts->Get(character);
  }
  static char* OnPrompt(EditLine* edit) {
    Parts* parts = nullptr;
    ::el_get(edit, EL_CLIENTDATA, &parts);
    return parts->prompt.data();
  }

  Interrupts& interrupts;
  std::string history_file;
  std::string prompt;
  EditLine* edit = nullptr;
  History* past = nullptr;
  bool interrupted = false;
};

int LineEditor::Parts::Get(wchar_t* character) {
  std::mbstate_t state = {};
  while (true) {
    std::array<pollfd, 2> waited = {pollfd{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
                                    pollfd{.fd = interrupts.fd(), .events = POLLIN, .revents = 0}};
    if (::poll(waited.data(), waited.size(), -1) < 0) {
      if (errno == EINTR)
        continue;
      return 0;
    }
    if (interrupts.Take()) {
      interrupted = true;
      return -1;
    }
    if (waited[0].revents == 0)
      continue;
    char byte = 0;
    const ssize_t got = ::read(STDIN_FILENO, &byte, 1);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
      continue;
    if (got <= 0)
      return 0;
    const std::size_t size = std::mbrtowc(character, &byte, 1, &state);
    if (size == static_cast<std::size_t>(-2))
      continue;
    // What is no UTF-8 is left out.
    if (size == static_cast<std::size_t>(-1)) {
      state = {};
      continue;
    }
    return 1;
  }
}

LineEditor::LineEditor(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<LineEditor>> LineEditor::Create(Interrupts& interrupts,
                                                       std::string history) {
  UseUtf8();
  auto parts = std::make_unique<Parts>(interrupts, std::move(history));
  parts->edit = ::el_init("cloister", stdin, stdout, stderr);
  parts->past = ::history_init();
  if (parts->edit == nullptr || parts->past == nullptr)
    return Error{ErrorCode::kSystem, "the terminal cannot be used"};
  HistEvent event = {};
  ::history(parts->past, &event, H_SETSIZE, kEntriesMax);
  ::history(parts->past, &event, H_SETUNIQUE, 1);
  if (!parts->history_file.empty())
    ::history(parts->past, &event, H_LOAD, parts->history_file.c_str());
  ::el_set(parts->edit, EL_CLIENTDATA, parts.get());
  ::el_set(parts->edit, EL_SIGNAL, 0);
  ::el_set(parts->edit, EL_PROMPT, &Parts::OnPrompt);
  ::el_set(parts->edit, EL_EDITOR, "emacs");
  ::el_set(parts->edit, EL_HIST, ::history, parts->past);
  ::el_set(parts->edit, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  ::el_set(parts->edit, EL_GETCFN, &Parts::OnGet);
  (void)::el_source(parts->edit, nullptr);
  return std::unique_ptr<LineEditor>(new LineEditor(std::move(parts)));
}

LineEditor::~LineEditor() {
  if (parts_->history_file.empty())
    return;
  // Before there is something in it: it is its owner's.
  const int file =
      ::open(parts_->history_file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0)
    return;
  (void)::fchmod(file, 0600);
  ::close(file);
  HistEvent event = {};
  ::history(parts_->past, &event, H_SAVE, parts_->history_file.c_str());
}

LineEditor::Event LineEditor::Read(const std::string& prompt, std::string& line) {
  parts_->prompt = prompt;
  parts_->interrupted = false;
  ::el_resize(parts_->edit);
  int count = 0;
  const char* const read = ::el_gets(parts_->edit, &count);
  if (parts_->interrupted) {
    ::el_reset(parts_->edit);
    return Event::kInterrupted;
  }
  if (read == nullptr || count <= 0)
    return Event::kEnd;
  line.assign(read, static_cast<std::size_t>(count));
  return Event::kLine;
}

void LineEditor::Remember(const std::string& entry) {
  HistEvent event = {};
  ::history(parts_->past, &event, H_ENTER, entry.c_str());
}

}  // namespace cloister
