#pragma once

// What `ps` shows of a process: its arguments, written over where the kernel put them.
//
// The area of the arguments and, behind it, of the environment is remembered once, in main(), and
// inherited by every blank. A title that does not fit is cut.

#include <string_view>

namespace cloister {

// For main(): nothing but the kernel's own order of these strings is relied upon.
void RememberTitleArea(int argc, char** argv);

// For example "cloister-worker: demo/hello 1.2.0". Also the name of the thread, cut to 15 bytes.
// Wipes what stood there, so the environment must not be used afterwards.
void SetTitle(std::string_view title);

}  // namespace cloister
