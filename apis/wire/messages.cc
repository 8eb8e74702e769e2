#include "apis/wire/messages.h"

namespace cloister {

const char* MessageName(MessageType type) {
  switch (type) {
    case MessageType::kNone:
      return "nothing";
#define MESSAGE(name, number) \
  case MessageType::k##name:  \
    return #name;
#define FIELD(type, name)
#define END_MESSAGE
#include "apis/wire/messages.def"
#undef MESSAGE
#undef FIELD
#undef END_MESSAGE
  }
  return "unknown";
}

}  // namespace cloister
