#include "daemon/keeper/succession.h"

#include <algorithm>

#include "apis/base/check.h"

namespace cloister {

const char* NodePhaseName(NodePhase phase) {
  switch (phase) {
    case NodePhase::kPreparing:
      return "preparing";
    case NodePhase::kWaiting:
      return "waiting";
    case NodePhase::kTaking:
      return "taking";
    case NodePhase::kServing:
      return "serving";
    case NodePhase::kDraining:
      return "draining";
    case NodePhase::kReleased:
      return "released";
  }
  return "unknown";
}

Step Succession::NextStart() const {
  return {.kind = writer_ == 0 ? StepKind::kStartWriter : StepKind::kStartWithout};
}

void Succession::OnStarted(std::uint64_t generation) {
  CHECK(generation > newest_ && !nodes_.contains(generation));
  newest_ = generation;
  if (writer_ == 0)
    writer_ = generation;
  nodes_.emplace(generation, writer_ == generation ? NodePhase::kTaking : NodePhase::kPreparing);
}

Succession::Reload Succession::OnReload() {
  if (PhaseOf(newest_) != NodePhase::kServing) {
    reload_again_ = true;
    return Reload::kLater;
  }
  return nodes_.size() < kNodesMax ? Reload::kStarted : Reload::kRefused;
}

std::vector<Step> Succession::OnPrepared(std::uint64_t generation) {
  std::vector<Step> steps;
  if (PhaseOf(generation) != NodePhase::kPreparing)
    return steps;
  nodes_[generation] = NodePhase::kWaiting;
  const std::optional<NodePhase> holder = PhaseOf(writer_);
  if (holder == NodePhase::kServing || holder == NodePhase::kTaking) {
    nodes_[writer_] = NodePhase::kDraining;
    steps.push_back({.kind = StepKind::kDrain, .generation = writer_});
  }
  PassRole(steps);
  return steps;
}

std::vector<Step> Succession::OnReleased(std::uint64_t generation) {
  std::vector<Step> steps;
  if (PhaseOf(generation) != NodePhase::kDraining)
    return steps;
  nodes_[generation] = NodePhase::kReleased;
  if (writer_ == generation)
    writer_ = 0;
  PassRole(steps);
  return steps;
}

std::vector<Step> Succession::OnReady(std::uint64_t generation) {
  if (PhaseOf(generation) != NodePhase::kTaking)
    return {};
  nodes_[generation] = NodePhase::kServing;
  if (!reload_again_)
    return {};
  reload_again_ = false;
  if (nodes_.size() == kNodesMax)
    return {{.kind = StepKind::kRefused, .generation = generation}};
  return {NextStart()};
}

std::vector<Step> Succession::OnGone(std::uint64_t generation) {
  std::vector<Step> steps;
  const std::optional<NodePhase> phase = PhaseOf(generation);
  if (!phase)
    return steps;
  nodes_.erase(generation);
  if (writer_ == generation)
    writer_ = 0;
  if (newest_ != generation) {
    PassRole(steps);
    return steps;
  }
  newest_ = 0;
  if (phase == NodePhase::kPreparing && PhaseOf(writer_) == NodePhase::kServing) {
    newest_ = writer_;
    reload_again_ = false;
    steps.push_back({.kind = StepKind::kStayed, .generation = generation});
    return steps;
  }
  steps.push_back(NextStart());
  return steps;
}

bool Succession::WriterIsAlone() const {
  return PhaseOf(writer_) == NodePhase::kServing &&
         std::ranges::all_of(nodes_, [this](const auto& each) {
           return each.first == writer_ || each.second == NodePhase::kPreparing;
         });
}

std::optional<NodePhase> Succession::PhaseOf(std::uint64_t generation) const {
  const auto found = nodes_.find(generation);
  return found == nodes_.end() ? std::nullopt : std::optional(found->second);
}

void Succession::PassRole(std::vector<Step>& steps) {
  if (writer_ != 0 || PhaseOf(newest_) != NodePhase::kWaiting)
    return;
  writer_ = newest_;
  nodes_[newest_] = NodePhase::kTaking;
  steps.push_back({.kind = StepKind::kBecomeWriter, .generation = newest_});
}

}  // namespace cloister
