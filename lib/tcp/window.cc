#include "tcp/window.h"

#include <algorithm>

#include "tcp/core.h"
#include "wire/tcp_options.h"

namespace sluice::tcp {
namespace {

uint32_t Clamped(const Config& config, const table::Options& options) {
  uint32_t bytes = std::clamp(options.receive_buffer_bytes.load(), config.buffer_min_bytes,
                              config.receive_buffer_max_bytes);
  const uint32_t clamp = options.window_clamp_bytes.load();
  return clamp == 0 ? bytes : std::min(bytes, std::max(clamp, config.buffer_min_bytes));
}

// The right edge that the buffer has room for.
Sequence RightEdge(Core& core, const Connection& c) {
  const table::Entry& entry = core.table.region().entry(c.socket);
  const uint32_t buffer = ReceiveBuffer(core, entry);
  const uint32_t queued = c.has(kOrphan) ? 0 : std::min(table::ReceiveQueueBytes(entry), buffer);
  return c.rcv_nxt + std::min(buffer - queued, 65535u << c.rcv_scale);
}

// RFC 9293 section 3.8.6.2.2: the window moves in steps worth a segment.
uint32_t Step(Core& core, const Connection& c) {
  const uint32_t buffer = ReceiveBuffer(core, core.table.region().entry(c.socket));
  return std::min<uint32_t>(buffer / 2, c.rcv_mss);
}

}  // namespace

uint32_t ReceiveBuffer(const Core& core, const table::Entry& entry) {
  return Clamped(core.config, entry.options);
}

uint8_t ScaleToOffer(const Core& core, const table::Options& options) {
  const uint32_t most = options.is_set(table::kReceiveBufferLocked)
                            ? Clamped(core.config, options)
                            : core.config.receive_buffer_max_bytes;
  uint8_t scale = 0;
  while (scale < wire::TcpOptions::kWindowScaleMax && (most >> scale) > 65535) ++scale;
  return scale;
}

uint32_t InitialReceiveWindow(const Core& core, const table::Options& options) {
  // The window of a SYN is never scaled (RFC 7323 section 2.2).
  return std::min<uint32_t>(Clamped(core.config, options), 65535);
}

uint16_t AdvertiseWindow(Core& core, Connection& c) {
  const Sequence edge = RightEdge(core, c);
  const uint32_t old_window = c.receive_window();
  uint32_t window = old_window;
  if (edge - c.rcv_adv >= static_cast<int32_t>(Step(core, c))) {
    window = static_cast<uint32_t>(edge - c.rcv_nxt);
  }
  uint32_t field = window >> c.rcv_scale;
  // RFC 9293 section 3.8.6.2.2: the edge never moves left, so what is kept is rounded up.
  if (field << c.rcv_scale < old_window) ++field;
  field = std::min<uint32_t>(field, 65535);
  const Sequence said = c.rcv_nxt + (field << c.rcv_scale);
  if (field == 0 && old_window != 0) ++core.counters.TcpExtTCPToZeroWindowAdv;
  if (field != 0 && c.rcv_adv == c.rcv_nxt) ++core.counters.TcpExtTCPFromZeroWindowAdv;
  c.rcv_adv = Max(c.rcv_adv, said);
  return static_cast<uint16_t>(field);
}

bool WindowUpdateDue(Core& core, const Connection& c) {
  if (c.rcv_nxt == c.irs + 1) return false;  // nothing has come, so nothing was read
  const uint32_t buffer = ReceiveBuffer(core, core.table.region().entry(c.socket));
  // RFC 9293 section 3.8.6.2.2 asks for a step worth a segment; beside that, while the peer still
  // has most of its window, acknowledgments of its data will bring the news soon enough.
  const uint32_t step = std::min(buffer / 2, 2u * c.rcv_mss);
  const uint32_t enough = std::max(step, c.receive_window());
  return RightEdge(core, c) - c.rcv_adv >= static_cast<int32_t>(enough);
}

void TuneReceiveBuffer(Core& core, Connection& c) {
  table::Entry& entry = core.table.region().entry(c.socket);
  const uint32_t taken = entry.receive_consumer.bytes.load();
  const uint32_t rtt_us = c.rcv_rtt_us != 0 ? c.rcv_rtt_us : c.srtt_us;
  const uint32_t elapsed_ms = core.clock_ms() - c.tuned_ms;
  if (elapsed_ms == 0 || rtt_us == 0 || elapsed_ms < std::max(rtt_us / 1000, 1u)) return;
  const uint32_t copied = taken - c.tuned_position;
  c.tuned_position = taken;
  c.tuned_ms = core.clock_ms();
  if (copied <= c.tuned_bytes) return;
  c.tuned_bytes = copied;
  if (entry.options.is_set(table::kReceiveBufferLocked)) return;
  // Twice what was read lets the sender double its window in the next round trip.
  const uint64_t wanted = 2ull * copied + 16ull * c.advertised_mss;
  const auto grown =
      static_cast<uint32_t>(std::min<uint64_t>(wanted, core.config.receive_buffer_max_bytes));
  if (grown > ReceiveBuffer(core, entry)) entry.options.receive_buffer_bytes.store(grown);
}

void TuneSendBuffer(Core& core, Connection& c) {
  table::Options& options = core.table.region().entry(c.socket).options;
  if (options.is_set(table::kSendBufferLocked)) return;
  const uint32_t wanted = static_cast<uint32_t>(
      std::min<uint64_t>(2ull * c.congestion.cwnd, core.config.send_buffer_max_bytes));
  if (wanted > options.send_buffer_bytes.load()) options.send_buffer_bytes.store(wanted);
}

}  // namespace sluice::tcp
