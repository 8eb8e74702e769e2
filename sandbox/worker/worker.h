#pragma once

// The runtime of a tenant's app: a Python interpreter that is warmed once in the zygote, and the
// life of one worker after the fork.
//
// Order of calls, all on the zygote's only thread:
//   WarmInterpreter()                     once, before the zygote serves (it may open files)
//   BeforeFork(); clone; AfterForkParent() in the zygote, AfterForkChild() in the child
//   RehearseBoot()                        in the child, if there is time
//   RunWorker()                           in the child, behind the walls: opens nothing any more
//
// The channel is descriptor 3 (kChannelFd), blocking, and the only descriptor that is used.
// Everything tenant-made is interpreted in RunWorker and nowhere else (I1).

#include <string>

#include "apis/base/result.h"
#include "apis/base/units.h"
#include "apis/wire/channel.h"
#include "apis/wire/messages.h"
#include "sandbox/confine.h"
#include "sandbox/image/image.h"

namespace cloister {

// What one worker is made of. `inbox` stays mapped as long as the process lives.
struct WorkerContext {
  WorkerJob job = WorkerJob::kServe;
  std::string app;      // "tenant/hello"
  std::string version;  // "1.2.0"
  std::string entry;    // "module:callable"
  Image image;
  InboxPage* inbox = nullptr;
  std::string environment;      // KEY=VALUE, each ended by a NUL; replaces the whole environment
  std::string module_rules;     // which modules of the platform are denied; config/module_rules.h
  Bytes memory_max = MiB(256);  // temporary files get a quarter of it
};

// Starts the interpreter (isolated, UTF-8, Debian's libpython), imports the standard library's
// extension modules from its files and everything else from the platform's image, which is copied
// into a sealed memory file first; ends in gc.freeze(). kInvalidArgument when the image was made
// for another version of Python.
Result<void> WarmInterpreter(const std::string& platform_image_path);

// The version of the interpreter, "3.11.2". Before WarmInterpreter too.
std::string InterpreterVersion();

// Around each fork of a warm interpreter.
void BeforeFork();
void AfterForkParent();
void AfterForkChild();

// Boots an app of ours and forgets it. What a boot touches first is copied for this process then,
// and mapped: the pages that a boot waits for are most of its time.
void RehearseBoot();

// Boots and serves, or compiles, until the node closes the channel or sends kShutdown, then ends
// the process. Exit status 0: an orderly end; 1: it could not boot (a kBootFailed was sent).
[[noreturn]] void RunWorker(WorkerContext context);

}  // namespace cloister
