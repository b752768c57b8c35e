#include "dpdk/memif_link.h"

#include <rte_ethdev.h>
#include <unistd.h>

#include <utility>

#include "dpdk/driver_descriptors.h"

namespace sluice::dpdk {
namespace {

constexpr int kMessagesMax = 16;             // passed on in one go
constexpr uint64_t kLooksPerSecond = 1'000;  // for a peer that comes or goes
constexpr uint64_t kStepsPerSecond = 50'000;
constexpr uint64_t kAttemptsPerSecond = 20;  // to find a server
// A client that says nothing for so long while it should leaves its place to the next.
constexpr uint64_t kSilenceSeconds = 10;
// How long the end of a port waits for the driver's thread, which only takes so long if it is
// stuck.
constexpr int kPatienceMilliseconds = 10;
constexpr int kPatienceRounds = 1'000;

}  // namespace

MemifLink::MemifLink(MemifEnds ends, uint16_t port_id, uint16_t queues)
    : ends_(std::move(ends)),
      port_id_(port_id),
      queues_(queues),
      process_id_(getpid()),
      left_(new Left[queues]) {}

absl::StatusOr<std::unique_ptr<MemifLink>> MemifLink::Open(MemifEnds ends, uint16_t port_id,
                                                           uint16_t queues) {
  std::unique_ptr<MemifLink> link(new MemifLink(std::move(ends), port_id, queues));
  if (!link->ends_.is_server) return link;
  absl::StatusOr<Descriptor> listener = ListenAt(link->ends_.meeting);
  if (!listener.ok()) return listener.status();
  link->listener_ = *std::move(listener);
  if (rte_eth_dev_start(port_id) != 0) {
    return absl::FailedPreconditionError("the memif driver does not start");
  }
  return link;
}

MemifLink::~MemifLink() {
  if (process_id_ != getpid()) return;  // the link is the parent's
  if (driver_) {
    EndMessages(driver_.number());
    for (int i = 0; i < kPatienceRounds && !DriverHasLetGo(); ++i) {
      HasCome(driver_.number(), -1, kPatienceMilliseconds);
    }
  }
  rte_eth_dev_stop(port_id_);
  if (listener_ && !ends_.meeting.is_abstract) unlink(ends_.meeting.name.c_str());
}

void MemifLink::CloseGate() {
  const uint32_t gate = gate_.load(std::memory_order_relaxed);
  if (!IsOpen(gate)) return;
  gate_.store(gate + 1, std::memory_order_release);
  left_[0].gate.store(gate + 1, std::memory_order_release);  // its engine is here
}

bool MemifLink::AllLeft() const {
  const uint32_t gate = gate_.load(std::memory_order_relaxed);
  for (uint16_t queue = 0; queue < queues_; ++queue) {
    if (left_[queue].gate.load(std::memory_order_acquire) != gate) return false;
  }
  return true;
}

void MemifLink::Advance() {
  switch (state_) {
    case State::kApart:
      Meet();
      break;
    case State::kMet:
      JoinDriver();
      break;
    case State::kAgreeing:
      PassFromDriver();
      if (state_ == State::kAgreeing) PassFromPeer();
      break;
    case State::kSettling:
      PassFromDriver();
      if (state_ == State::kSettling) Settle();
      break;
    case State::kUp:
      // Nothing that either could say now leaves the link as it is.
      if (HasCome(peer_.number(), driver_.number(), 0)) Part();
      break;
    case State::kParting:
      FinishParting();
      break;
  }
  const uint64_t now_cycles = rte_get_tsc_cycles();
  due_cycles_ = now_cycles + PauseCycles();
  const bool is_agreeing = state_ == State::kAgreeing || state_ == State::kSettling;
  if (ends_.is_server && is_agreeing && now_cycles >= give_up_cycles_) Part();
}

uint64_t MemifLink::PauseCycles() const {
  if (state_ == State::kApart && !ends_.is_server) return rte_get_tsc_hz() / kAttemptsPerSecond;
  const bool is_still = state_ == State::kApart || state_ == State::kUp;
  return rte_get_tsc_hz() / (is_still ? kLooksPerSecond : kStepsPerSecond);
}

void MemifLink::Meet() {
  if (ends_.is_server) {
    MeetClient();
  } else {
    MeetServer();
  }
  give_up_cycles_ = rte_get_tsc_cycles() + kSilenceSeconds * rte_get_tsc_hz();
}

void MemifLink::MeetClient() {
  peer_ = AcceptFrom(listener_.number());
  if (!peer_) return;
  state_ = State::kMet;
  JoinDriver();
}

void MemifLink::JoinDriver() {
  bool is_busy;
  driver_ = ConnectTo(ends_.driver, &is_busy);
  driver_identity_ = 0;  // known when it says Hello
  if (driver_) state_ = State::kAgreeing;
  if (!driver_ && !is_busy) Part();
}

void MemifLink::MeetServer() {
  bool is_busy;
  peer_ = ConnectTo(ends_.meeting, &is_busy);
  if (!peer_) return;
  if (StartDriver()) {
    state_ = State::kAgreeing;
  } else {
    peer_.Close();
  }
}

// The driver of a client connects as it starts. It would wait for a place in the backlog, so it
// must find a listener that is new.
bool MemifLink::StartDriver() {
  unlink(ends_.driver.name.c_str());
  absl::StatusOr<Descriptor> listener = ListenAt(ends_.driver);
  if (!listener.ok()) return false;
  if (rte_eth_dev_start(port_id_) == 0) driver_ = AcceptFrom(listener->number());
  unlink(ends_.driver.name.c_str());
  if (!driver_) rte_eth_dev_stop(port_id_);
  RememberDriver();
  return static_cast<bool>(driver_);
}

void MemifLink::PassFromDriver() {
  for (int i = 0; i < kMessagesMax; ++i) {
    MemifMessage message;
    Descriptor attached;
    const Took took = HearDriver(&message, &attached);
    if (took == Took::kNothing) return;
    if (took != Took::kMessage || !SendMessage(peer_.number(), message, attached)) return Part();
    if (ends_.is_server && message.type == MemifType::kConnected) {
      // Its answer to Connect, after which it was told nothing.
      OpenGate();
      state_ = State::kUp;
      return;
    }
  }
}

void MemifLink::PassFromPeer() {
  for (int i = 0; i < kMessagesMax; ++i) {
    MemifMessage message;
    Descriptor attached;
    const Took took = TakeMessage(peer_.number(), &message, &attached);
    if (took == Took::kNothing) return;
    if (took != Took::kMessage || !DriverMayHear(message.type)) return Part();
    if (!SendMessage(driver_.number(), message, attached)) {
      PassFromDriver();  // why it left, if it did
      return Part();
    }
    give_up_cycles_ = rte_get_tsc_cycles() + kSilenceSeconds * rte_get_tsc_hz();
    const MemifType last = ends_.is_server ? MemifType::kConnect : MemifType::kConnected;
    if (message.type != last) continue;
    state_ = State::kSettling;
    if (ends_.is_server) return;  // Connected will come back
    // The driver says nothing to Connected. It is through with that when it takes another message:
    // to an Ack it does nothing.
    MemifMessage acknowledgment;
    acknowledgment.type = MemifType::kAck;
    if (!SendMessage(driver_.number(), acknowledgment, Descriptor())) Part();
    return;
  }
}

void MemifLink::Settle() {
  if (ends_.is_server || !AllTaken(driver_.number()) || !DriverIsUp()) return;
  OpenGate();
  state_ = State::kUp;
}

bool MemifLink::DriverMayHear(MemifType type) const {
  switch (type) {
    case MemifType::kInit:
    case MemifType::kAddRegion:
    case MemifType::kAddRing:
    case MemifType::kConnect:
      return ends_.is_server;
    case MemifType::kHello:
    case MemifType::kConnected:
      return !ends_.is_server;
    case MemifType::kAck:
      return true;
    case MemifType::kDisconnect:
      break;
  }
  return false;
}

bool MemifLink::DriverIsUp() const {
  rte_eth_link link;
  return rte_eth_link_get_nowait(port_id_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

void MemifLink::Part() {
  CloseGate();
  Disconnect(peer_.number());
  peer_.Close();
  state_ = State::kParting;
}

// The driver closes its socket when it has unmapped everything.
bool MemifLink::DriverHasLetGo() {
  Took took = Took::kMessage;
  for (int i = 0; i < kMessagesMax && took != Took::kNothing; ++i) {
    MemifMessage ignored;
    Descriptor attached;
    took = HearDriver(&ignored, &attached);
    if (took == Took::kEnd) return true;
  }
  return driver_identity_ != 0 && IdentityOf(driver_number_) != driver_identity_;
}

Took MemifLink::HearDriver(MemifMessage* message, Descriptor* attached) {
  const Took took = TakeMessage(driver_.number(), message, attached);
  if (took == Took::kMessage && driver_identity_ == 0) RememberDriver();
  return took;
}

void MemifLink::RememberDriver() {
  driver_number_ = FindMemifSocket(ends_.driver.name, ends_.is_server);
  driver_identity_ = IdentityOf(driver_number_);
}

void MemifLink::FinishParting() {
  if (!AllLeft()) return;
  if (driver_) {
    EndMessages(driver_.number());
    if (!DriverHasLetGo()) return;
    driver_.Close();
  }
  if (!ends_.is_server) rte_eth_dev_stop(port_id_);
  state_ = State::kApart;
}

}  // namespace sluice::dpdk
