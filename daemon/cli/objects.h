#pragma once

// `cloister objects`: what an app keeps, listed, read, written and removed by an operator.
//
// Objects go in pieces of a megabyte; none is ever held whole.

#include <string>

#include "daemon/cli/api.h"
#include "daemon/cli/console.h"

namespace cloister {

struct ObjectWish {
  std::string app;
  // An id (64 hexadecimal digits) or a name; of a list: what names begin with.
  std::string reference;
  std::string name;  // for what is put; empty: none
  std::string file;  // "-": standard input or output
  bool ids = false;  // lists all objects, those without a name too
};

Attempt<void> ListObjects(AdminApi& api, Console& console, const ObjectWish& wish);
Attempt<void> PutObject(AdminApi& api, Console& console, const ObjectWish& wish);
Attempt<void> GetObject(AdminApi& api, Console& console, const ObjectWish& wish);
Attempt<void> RemoveObject(AdminApi& api, Console& console, const ObjectWish& wish);

}  // namespace cloister
