#pragma once

// What a blank was handed by the node, checked and mapped.

#include <string_view>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "apis/wire/channel.h"
#include "apis/wire/fd_socket.h"
#include "sandbox/limits.h"
#include "sandbox/worker/worker.h"

namespace cloister {

struct TakenOver {
  WorkerContext context;
  WorkerLimits limits;
  UniqueFd channel;
  UniqueFd query;  // may be absent
};

// Takes the packet apart: HandOver and its descriptors (image, inbox, channel and perhaps query).
// Checks that image and inbox are sealed, maps both, drops their descriptors. Runs in the blank,
// before the last walls; reads nothing of the tenant but the image's index.
Result<TakenOver> TakeOver(Packet packet, std::uint64_t worker_id);

// Maps an inbox page. kInvalidArgument when the memfd could shrink under the mapping.
Result<InboxPage*> MapInbox(int fd);

// Puts the channel at descriptor 3 and the query end, or nothing, at 4, whatever was there.
Result<void> PlaceChannels(UniqueFd channel, UniqueFd query);

}  // namespace cloister
