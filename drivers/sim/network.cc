#include "sim/network.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace sluice::sim {
namespace {

constexpr int kHopsMax = 16;
constexpr size_t kLearnedMax = 1024;  // addresses that one switch remembers
constexpr size_t kMacBytes = 6;

uint64_t MacAt(std::span<const uint8_t> bytes, size_t offset) {
  uint64_t mac = 0;
  for (size_t i = 0; i < kMacBytes; ++i) mac = mac << 8 | bytes[offset + i];
  return mac;
}

// Misuse of a test's own network: there is nobody to hand an error to.
[[noreturn]] void Misused(const char* what) {
  std::fprintf(stderr, "simulated network: %s\n", what);
  std::abort();
}

}  // namespace

SimNetwork::SimNetwork(uint64_t seed) : seed_(seed) {}
SimNetwork::~SimNetwork() = default;

int SimNetwork::AddNode(std::unique_ptr<SimPort> port) {
  nodes_.push_back({std::move(port), {}, {}});
  return static_cast<int>(nodes_.size()) - 1;
}

SimPort* SimNetwork::AddPort(PortOptions options) {
  const size_t number = nodes_.size() + 1;
  if (options.name.empty()) options.name = "port" + std::to_string(number);
  if (options.mac.is_zero()) {
    options.mac = {{2, 0, 0, 0, static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)}};
  }
  const int node = static_cast<int>(nodes_.size());
  AddNode(std::unique_ptr<SimPort>(new SimPort(this, node, std::move(options))));
  return nodes_.back().port.get();
}

int SimNetwork::AddSwitch() { return AddNode(nullptr); }

int SimNetwork::AddEdge(int from, int to, const Impairments& impairments) {
  const int edge = static_cast<int>(edges_.size());
  // A stream of numbers for each direction, so that traffic on one does not change another. (The
  // factor is not the one by which Random steps from its seed, which would repeat its state.)
  const uint64_t seed = seed_ + 0xd1342543de82ef95 * static_cast<uint64_t>(edge + 1);
  edges_.push_back(std::make_unique<Edge>(Edge{from, to, edge ^ 1, Direction(seed, impairments)}));
  nodes_[from].outgoing.push_back(edge);
  return edge;
}

void SimNetwork::ConnectNodes(int a, int b, const Impairments& a_to_b, const Impairments& b_to_a) {
  for (int node : {a, b}) {
    SimPort* port = nodes_[node].port.get();
    if (port == nullptr) continue;
    if (!nodes_[node].outgoing.empty()) Misused("a port has one link only");
    port->is_up_ = true;
  }
  AddEdge(a, b, a_to_b);
  AddEdge(b, a, b_to_a);
}

void SimNetwork::Connect(SimPort* a, SimPort* b, const Impairments& both) {
  Connect(a, b, both, both);
}

void SimNetwork::Connect(SimPort* a, SimPort* b, const Impairments& a_to_b,
                         const Impairments& b_to_a) {
  ConnectNodes(a->node_, b->node_, a_to_b, b_to_a);
}

void SimNetwork::ConnectToSwitch(SimPort* port, int switch_number, const Impairments& both) {
  if (port->capabilities().link != engine::LinkType::kEthernet) {
    Misused("a switch joins Ethernet ports only");
  }
  if (nodes_[switch_number].port != nullptr) Misused("not the number of a switch");
  ConnectNodes(port->node_, switch_number, both, both);
}

Direction& SimNetwork::Outgoing(const SimPort* port) {
  if (nodes_[port->node_].outgoing.empty()) Misused("the port has no link yet");
  return edges_[nodes_[port->node_].outgoing.front()]->direction;
}

Direction& SimNetwork::Incoming(const SimPort* port) {
  if (nodes_[port->node_].outgoing.empty()) Misused("the port has no link yet");
  const Edge& out = *edges_[nodes_[port->node_].outgoing.front()];
  return edges_[out.reverse]->direction;
}

const DirectionStatistics& SimNetwork::statistics_from(const SimPort* port) const {
  return const_cast<SimNetwork*>(this)->Outgoing(port).statistics();
}

const DirectionStatistics& SimNetwork::statistics_to(const SimPort* port) const {
  return const_cast<SimNetwork*>(this)->Incoming(port).statistics();
}

void SimNetwork::SetLinkUp(SimPort* port, bool up) {
  Outgoing(port).set_up(up);
  Incoming(port).set_up(up);
  port->is_up_ = up;
  const Edge& out = *edges_[nodes_[port->node_].outgoing.front()];
  if (SimPort* peer = nodes_[out.to].port.get(); peer != nullptr) peer->is_up_ = up;
}

Instant SimNetwork::NextEvent() const {
  return events_.empty() ? Instant::Never() : events_.top().at;
}

void SimNetwork::AdvanceTo(Instant instant) {
  // Ends: a frame makes at most kHopsMax hops, and nobody sends while time advances.
  while (!events_.empty() && events_.top().at <= instant) {
    Event event = std::move(const_cast<Event&>(events_.top()));
    events_.pop();
    now_ = std::max(now_, event.at);
    Deliver(std::move(event));
  }
  now_ = std::max(now_, instant);
}

void SimNetwork::SendFrom(SimPort* port, std::span<const uint8_t> bytes) {
  const Node& node = nodes_[port->node_];
  if (!node.outgoing.empty()) SendOn(node.outgoing.front(), bytes, 1);
}

void SimNetwork::SendOn(int edge_index, std::span<const uint8_t> bytes, int hops) {
  Edge& edge = *edges_[edge_index];
  Outcome outcome = edge.direction.Send(bytes, now_);
  Report(outcome.fate, edge_index, bytes);
  for (Arrival& arrival : outcome.arrivals) {
    events_.push({arrival.at, next_order_++, edge_index, hops, std::move(arrival.bytes)});
  }
}

void SimNetwork::Deliver(Event event) {
  Edge& edge = *edges_[event.edge];
  SimPort* port = nodes_[edge.to].port.get();
  if (port == nullptr) {
    const Fate fate = event.hops < kHopsMax ? Fate::kDelivered : Fate::kTooManyHops;
    edge.direction.Arrived(fate);
    Report(fate, event.edge, event.bytes);
    if (fate == Fate::kDelivered) Forward(edge.to, event);
    return;
  }
  const Fate fate =
      port->waiting() < port->options_.receive_frames_max ? Fate::kDelivered : Fate::kReceiverFull;
  edge.direction.Arrived(fate);
  Report(fate, event.edge, event.bytes);
  port->Arrive(std::move(event.bytes));
}

// What a learning switch does (IEEE 802.1D): remember where the source lives, send to where the
// destination lives, or everywhere else if that is unknown or a group.
void SimNetwork::Forward(int node_index, const Event& event) {
  if (event.bytes.size() < 2 * kMacBytes) return;
  Node& node = nodes_[node_index];
  const int back = edges_[event.edge]->reverse;
  const uint64_t destination = MacAt(event.bytes, 0);
  const uint64_t source = MacAt(event.bytes, kMacBytes);
  const auto known = node.edge_by_mac.find(source);
  if (known != node.edge_by_mac.end()) {
    known->second = back;
  } else if (node.edge_by_mac.size() < kLearnedMax) {
    node.edge_by_mac.emplace(source, back);
  }
  const bool is_group = (event.bytes[0] & 1) != 0;
  const auto target = node.edge_by_mac.find(destination);
  if (!is_group && target != node.edge_by_mac.end()) {
    if (target->second != back) SendOn(target->second, event.bytes, event.hops + 1);
    return;
  }
  for (int edge : node.outgoing) {
    if (edge != back) SendOn(edge, event.bytes, event.hops + 1);
  }
}

void SimNetwork::Report(Fate fate, int edge_index, std::span<const uint8_t> bytes) const {
  if (!observer_) return;
  const Edge& edge = *edges_[edge_index];
  observer_({now_, fate, nodes_[edge.from].port.get(), nodes_[edge.to].port.get(), bytes});
}

}  // namespace sluice::sim
