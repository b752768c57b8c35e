// Segments as tests write them: what is set is sent, or must be found in what was sent.
//
//   peer.Push(Syn().Mss(1460));
//   peer.Expect(SynAck().Seq(0).Ack(1).Mss(1460));
//
// Sequence numbers count from the initial ones of either side, so that SYNs are at 0.
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "wire/tcp.h"
#include "wire/tcp_options.h"

namespace sluice::tcp {

struct Seg {
  uint8_t flags = 0;
  std::optional<uint32_t> seq, ack;
  std::optional<uint32_t> window;
  std::optional<uint16_t> mss;
  std::optional<uint8_t> scale;
  std::optional<bool> sack_ok;
  std::optional<uint32_t> ts, ts_echo;
  std::optional<std::vector<std::pair<uint32_t, uint32_t>>> sack;
  std::optional<std::string> text;
  std::optional<uint32_t> length;  // of the payload, where the bytes do not matter
  std::optional<uint16_t> urgent;
  uint8_t ttl = 64;
  bool bad_checksum = false;
  bool any_psh = true;

  Seg& Seq(uint32_t v) { return seq = v, *this; }
  Seg& Ack(uint32_t v) { return ack = v, flags |= wire::kTcpAck, *this; }
  Seg& Win(uint32_t v) { return window = v, *this; }
  Seg& Mss(uint16_t v) { return mss = v, *this; }
  Seg& Scale(uint8_t v) { return scale = v, *this; }
  Seg& SackOk(bool v = true) { return sack_ok = v, *this; }
  Seg& Ts(uint32_t value, uint32_t echo) { return ts = value, ts_echo = echo, *this; }
  Seg& TsEcho(uint32_t echo) { return ts_echo = echo, *this; }
  Seg& Sack(std::vector<std::pair<uint32_t, uint32_t>> v) { return sack = std::move(v), *this; }
  Seg& Text(std::string v) { return text = std::move(v), *this; }
  Seg& Len(uint32_t v) { return length = v, *this; }
  Seg& Urg(uint16_t v) { return urgent = v, flags |= wire::kTcpUrg, *this; }
  Seg& Fin() { return flags |= wire::kTcpFin, *this; }
  Seg& Psh() { return flags |= wire::kTcpPsh, any_psh = false, *this; }
  Seg& Ttl(uint8_t v) { return ttl = v, *this; }
  Seg& BadChecksum() { return bad_checksum = true, *this; }
};

inline Seg Flags(uint8_t flags) {
  Seg s;
  s.flags = flags;
  return s;
}
inline Seg Syn() { return Flags(wire::kTcpSyn); }
inline Seg SynAck() { return Flags(wire::kTcpSyn | wire::kTcpAck); }
inline Seg Rst() { return Flags(wire::kTcpRst); }
inline Seg Data(std::string text) { return Flags(wire::kTcpAck).Text(std::move(text)); }
inline Seg Bytes(uint32_t count) { return Flags(wire::kTcpAck).Len(count); }
inline Seg AckOf(uint32_t ack) { return Flags(0).Ack(ack).Len(0); }
inline Seg FinAck() { return Flags(wire::kTcpFin | wire::kTcpAck); }

inline std::string ToString(const Seg& s) {
  std::ostringstream out;
  constexpr const char* kNames[8] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"};
  for (int i = 0; i < 8; ++i) {
    if ((s.flags >> i & 1) != 0) out << kNames[i] << ' ';
  }
  if (s.seq) out << "seq " << *s.seq << ' ';
  if (s.ack) out << "ack " << *s.ack << ' ';
  if (s.window) out << "win " << *s.window << ' ';
  if (s.text) out << "len " << s.text->size() << ' ';
  if (s.length) out << "len " << *s.length << ' ';
  if (s.mss) out << "mss " << *s.mss << ' ';
  if (s.scale) out << "scale " << int{*s.scale} << ' ';
  if (s.sack_ok && *s.sack_ok) out << "sackOK ";
  if (s.ts) out << "ts " << *s.ts << ' ';
  if (s.ts_echo) out << "echo " << *s.ts_echo << ' ';
  if (s.urgent) out << "urg " << *s.urgent << ' ';
  if (s.sack) {
    for (const auto& [begin, end] : *s.sack) out << "sack " << begin << ':' << end << ' ';
  }
  return out.str();
}

template <typename T>
bool Agrees(const std::optional<T>& wanted, const std::optional<T>& found) {
  return !wanted || wanted == found;
}

// Whether `found` (complete) is what `wanted` says.
inline bool Matches(const Seg& wanted, const Seg& found) {
  const uint8_t ignored = wanted.any_psh ? wire::kTcpPsh : 0;
  return (wanted.flags | ignored) == (found.flags | ignored) && Agrees(wanted.seq, found.seq) &&
         Agrees(wanted.ack, found.ack) && Agrees(wanted.window, found.window) &&
         Agrees(wanted.mss, found.mss) && Agrees(wanted.scale, found.scale) &&
         Agrees(wanted.sack_ok, found.sack_ok) && Agrees(wanted.ts, found.ts) &&
         Agrees(wanted.ts_echo, found.ts_echo) && Agrees(wanted.sack, found.sack) &&
         Agrees(wanted.text, found.text) && Agrees(wanted.urgent, found.urgent) &&
         (!wanted.length || *wanted.length == found.text->size());
}

}  // namespace sluice::tcp
