// Frames in and out: bursts from the ports through the internet layer to the transports, and back.
#include <rte_mbuf.h>

#include <algorithm>
#include <array>

#include "engine/engine.h"

namespace sluice::engine {
namespace {

// How many frames ahead of the one at hand the headers are fetched into the cache.
constexpr unsigned kPrefetchAhead = 4;

void Prefetch(const rte_mbuf* packet) { __builtin_prefetch(rte_pktmbuf_mtod(packet, const void*)); }

}  // namespace

unsigned Engine::ReceiveBursts(Instant now) {
  unsigned received = 0;
  receive_left_ = false;
  std::array<rte_mbuf*, kBurstMax> frames;
  for (Attachment& a : ports_) {
    if (!a.has_queue) continue;
    uint16_t count = a.port->Receive(a.queue, {frames.data(), config_.receive_burst});
    if (count == 0) continue;
    received += count;
    receive_left_ = receive_left_ || count == config_.receive_burst;
    if (tap_ != nullptr) [[unlikely]]
      tap_->Received(now, a.interface, {frames.data(), count});
    if (hand_over_ != nullptr) count = KeepOwn(a, {frames.data(), count});
    TakeBurst(now, a.interface, {frames.data(), count});
  }
  counters_.FramesReceived += received;
  return received;
}

// Layer by layer, so that what one packet needs from memory is on its way while others are at work.
void Engine::TakeBurst(Instant now, uint16_t interface, std::span<rte_mbuf*> frames) {
  const size_t count = frames.size();
  std::array<ip::Verdict, kBurstMax> verdicts;
  unsigned delivered = 0;
  for (size_t i = 0; i < std::min<size_t>(count, kPrefetchAhead); ++i) Prefetch(frames[i]);
  for (size_t i = 0; i < count; ++i) {
    if (i + kPrefetchAhead < count) Prefetch(frames[i + kPrefetchAhead]);
    verdicts[delivered] = ip_.Input(now, interface, frames[i], &inbound_[delivered]);
    if (verdicts[delivered] != ip::Verdict::kConsumed) ++delivered;
  }
  if (delivered > 1) tcp_.Foresee({inbound_.data(), delivered});
  for (unsigned i = 0; i < delivered; ++i) Dispatch(now, verdicts[i], inbound_[i]);
}

void Engine::TakeFrame(Instant now, uint16_t interface, rte_mbuf* frame) {
  const ip::Verdict verdict = ip_.Input(now, interface, frame, &inbound_[0]);
  if (verdict != ip::Verdict::kConsumed) Dispatch(now, verdict, inbound_[0]);
}

// What this host sent to itself, and what its neighbours never took.
unsigned Engine::TakeLooped(Instant now) {
  // Answers queue behind, for the next turn.
  const size_t most = std::min<size_t>(ip_.looped_packets(), config_.looped_per_turn);
  unsigned taken = 0;
  while (taken < most) {
    rte_mbuf* packet = ip_.TakeLooped();
    if (packet == nullptr) break;
    ++taken;
    if (hand_over_ != nullptr && !KeepLooped(packet)) continue;
    TakeFrame(now, ip::kLoopbackInterface, packet);
  }
  counters_.FramesLooped += taken;
  for (unsigned i = 0; i < config_.looped_per_turn && ip_.TakeUnreachable(&inbound_[0]); ++i) {
    DispatchError(now, inbound_[0]);
    ++taken;
  }
  return taken;
}

void Engine::Dispatch(Instant now, ip::Verdict verdict, ip::Inbound& inbound) {
  if (verdict == ip::Verdict::kError) return DispatchError(now, inbound);
  if (inbound.info.reassembled && hand_over_ != nullptr && !OwnsDatagram(inbound)) [[unlikely]] {
    rte_pktmbuf_free(inbound.packet);
    inbound.packet = nullptr;
    return;
  }
  switch (inbound.info.protocol) {
    case ip::kProtocolTcp:
      return tcp_.Input(now, inbound);
    case ip::kProtocolUdp:
      return udp_.Input(now, inbound);
    default:
      // RFC 1122 section 3.2.2.1, RFC 4443 section 3.4.
      ++counters_.UnknownProtocols;
      ip_.SendRefusal(now, inbound, ip::Refusal::kProtocol);
      rte_pktmbuf_free(inbound.packet);
      inbound.packet = nullptr;
  }
}

void Engine::DispatchError(Instant now, ip::Inbound& inbound) {
  const bool owns = hand_over_ == nullptr || OwnsError(inbound.error);
  if (inbound.error.protocol == ip::kProtocolUdp) return udp_.Error(now, inbound, owns);
  if (inbound.error.protocol == ip::kProtocolTcp && owns) tcp_.Error(now, inbound.error);
  rte_pktmbuf_free(inbound.packet);
  inbound.packet = nullptr;
}

unsigned Engine::TransmitBursts(Instant now) {
  unsigned sent = 0;
  transmit_left_ = false;
  for (Attachment& a : ports_) {
    for (;;) {
      const std::span<rte_mbuf*> frames = ip_.TransmitQueue(a.interface);
      if (frames.empty()) break;
      // The port may free what it takes: look before, and at none twice.
      if (tap_ != nullptr && a.has_queue) [[unlikely]] {
        tap_->Transmitted(now, a.interface, frames.subspan(std::min(a.tapped, frames.size())));
      }
      const uint16_t most = static_cast<uint16_t>(std::min<size_t>(frames.size(), UINT16_MAX));
      const uint16_t taken = a.has_queue ? a.port->Transmit(a.queue, frames.first(most))
                                         : GiveFrames(a, frames.first(most));
      a.tapped = tap_ != nullptr ? frames.size() - taken : 0;
      ip_.Transmitted(a.interface, taken);
      sent += taken;
      if (a.has_queue) counters_.FramesTransmitted += taken;
      if (taken < frames.size()) {
        transmit_left_ = true;
        ++counters_.TransmitBacklogs;
        break;
      }
    }
  }
  return sent;
}

}  // namespace sluice::engine
