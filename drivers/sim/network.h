// A network in virtual time: ports joined by links and switches, with delay, rate, loss,
// reordering, duplication and corruption. Nothing here reads a clock or draws ambient randomness:
// the same seed and the same calls give the same frames at the same nanoseconds.
//
//   SimNetwork network(seed);
//   SimPort* a = network.AddPort({});
//   SimPort* b = network.AddPort({});
//   network.Connect(a, b, {.delay = Milliseconds(10), .loss_ppm = 10'000});
//   while (working) {
//     const Instant next = std::min(network.NextEvent(), engines_next_deadline);
//     network.AdvanceTo(next);
//     ...  // poll the engines at `next`
//   }
//
// One thread. The network owns its ports; packets taken from a port's pool must have come back
// before the network is destroyed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <vector>

#include "base/time.h"
#include "sim/direction.h"
#include "sim/impairments.h"
#include "sim/port.h"

namespace sluice::sim {

struct FrameEvent {
  Instant at;
  Fate fate;
  const SimPort* from;  // null where a switch sent it
  const SimPort* to;    // null where a switch receives it
  std::span<const uint8_t> bytes;
};

class SimNetwork {
 public:
  explicit SimNetwork(uint64_t seed);
  ~SimNetwork();
  SimNetwork(const SimNetwork&) = delete;
  SimNetwork& operator=(const SimNetwork&) = delete;

  SimPort* AddPort(PortOptions options);
  // A switch that learns addresses (Ethernet ports only). Returns its number.
  int AddSwitch();

  // Joins two ports, or a port and a switch, with the same or different impairments each way. A
  // port has one link.
  void Connect(SimPort* a, SimPort* b, const Impairments& both = {});
  void Connect(SimPort* a, SimPort* b, const Impairments& a_to_b, const Impairments& b_to_a);
  void ConnectToSwitch(SimPort* port, int switch_number, const Impairments& both = {});

  // The two directions of a port's link, for changing a running simulation and for its counters.
  Impairments& from(const SimPort* port) { return Outgoing(port).impairments(); }
  Impairments& to(const SimPort* port) { return Incoming(port).impairments(); }
  const DirectionStatistics& statistics_from(const SimPort* port) const;
  const DirectionStatistics& statistics_to(const SimPort* port) const;
  // Pulls the cable of a port, or plugs it in. Frames already on their way arrive.
  void SetLinkUp(SimPort* port, bool up);

  // Called for each frame when it is sent (or dropped instead) and when it arrives.
  void Observe(std::function<void(const FrameEvent&)> observer) { observer_ = std::move(observer); }

  Instant now() const { return now_; }
  // When the next frame arrives somewhere; Never if none is on its way.
  Instant NextEvent() const;
  // Lets all arrive that arrives until then. Time never runs backwards: an earlier instant than
  // now() changes nothing.
  void AdvanceTo(Instant instant);

 private:
  friend class SimPort;

  struct Node {
    std::unique_ptr<SimPort> port;        // null for a switch
    std::vector<int> outgoing;            // indices into edges_
    std::map<uint64_t, int> edge_by_mac;  // what a switch learned
  };
  struct Edge {  // one direction between two nodes
    int from;
    int to;
    int reverse;  // the edge back
    Direction direction;
  };
  struct Event {
    Instant at;
    uint64_t order;  // among events of the same instant: first sent, first arrived
    int edge;
    int hops;
    std::vector<uint8_t> bytes;

    bool operator>(const Event& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };

  int AddNode(std::unique_ptr<SimPort> port);
  int AddEdge(int from, int to, const Impairments& impairments);
  void ConnectNodes(int a, int b, const Impairments& a_to_b, const Impairments& b_to_a);
  Direction& Outgoing(const SimPort* port);
  Direction& Incoming(const SimPort* port);
  void SendFrom(SimPort* port, std::span<const uint8_t> bytes);
  void SendOn(int edge, std::span<const uint8_t> bytes, int hops);
  void Deliver(Event event);
  void Forward(int node, const Event& event);
  void Report(Fate fate, int edge, std::span<const uint8_t> bytes) const;

  const uint64_t seed_;
  std::vector<Node> nodes_;
  std::vector<std::unique_ptr<Edge>> edges_;
  std::priority_queue<Event, std::vector<Event>, std::greater<Event>> events_;
  uint64_t next_order_ = 0;
  Instant now_;
  std::function<void(const FrameEvent&)> observer_;
};

}  // namespace sluice::sim
