#pragma once

// What the programs of all engines do before their first statement: arguments, orders, first words.

#include <chrono>
#include <cstdint>

#include "apis/base/result.h"
#include "apis/wire/messages.h"

namespace cloister {

// A number of the zygote's; 0 when it is none.
std::uint64_t QueryNumber(const char* text);

// Of the node, within the walls. Ends the process when it is not wanted any more.
Result<QueryOrders> ReceiveFirstOrders();

// To the node: why there are no statements, or that there may be.
void SayQueryFailed(const char* code, const Error& error);
void SayQueryReady(std::chrono::steady_clock::time_point began);

}  // namespace cloister
