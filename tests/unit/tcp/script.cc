#include "script.h"

#include <cstring>

#include "wire/checksum.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"

namespace sluice::tcp {
namespace {

constexpr SipKey kKey{0x0123456789abcdef, 0xfedcba9876543210};

uint32_t FlowOf(uint16_t local, uint16_t remote) { return uint32_t{local} << 16 | remote; }

void* Allocate(size_t bytes) {
  void* memory = std::aligned_alloc(128, (bytes + 127) / 128 * 128);
  std::memset(memory, 0, bytes);
  return memory;
}

}  // namespace

std::string Pattern(size_t count, size_t offset) {
  std::string bytes(count, '\0');
  for (size_t i = 0; i < count; ++i) {
    const size_t at = offset + i;
    bytes[i] = static_cast<char>(at * 31 + (at >> 8));
  }
  return bytes;
}

Script::Script(const ScriptConfig& config)
    : config_(config),
      pool_(config.packets),
      memory_(Allocate(table::Region::BytesNeeded(config.region))),
      region_(table::Region::Format(memory_.get(), config.region)) {
  region_.ShareMbufs(pool_.get());
  table = std::make_unique<table::SocketTable>(region_, 0);
  ip::StackConfig ip_config;
  ip_config.key = kKey;
  ip = std::make_unique<ip::Stack>(ip_config);
  ip::InterfaceConfig interface;
  interface.name = "test0";
  interface.link = ip::LinkLayer::kNone;
  interface.mtu = config.mtu;
  interface.pool = pool_.get();
  interface.announce = false;
  interface.ipv6 = config.v6;
  if (config.segmentation) {
    interface.tx_tcp_checksum = interface.tx_tcp_segmentation = true;
    interface.tso_bytes_max = 40000;
    interface.tx_segments_max = 32;
  }
  REQUIRE(ip->AddInterface(now, interface, &interface_) == ip::ConfigResult::kOk);
  const char* prefix = config.v6 ? "2001:db8::1/64" : "192.0.2.1/24";
  local_address = wire::ParsePrefix(prefix)->address;
  peer_address = *wire::ParseIp(config.v6 ? "2001:db8::2" : "192.0.2.2");
  REQUIRE(ip->AddAddress(now, interface_, *wire::ParsePrefix(prefix)) == ip::ConfigResult::kOk);
  config_.tcp.pool = pool_.get();
  tcp = std::make_unique<Stack>(config_.tcp, *table, *ip, kKey);
  while (!ip->TransmitQueue(interface_).empty()) {
    auto frames = ip->TransmitQueue(interface_);
    const size_t count = frames.size();
    for (rte_mbuf* frame : frames) rte_pktmbuf_free(frame);
    ip->Transmitted(interface_, count);
  }
}

Script::~Script() {
  Collect();
  tcp.reset();
  for (uint32_t i = 0; i < region_.limits().sockets; ++i) {
    if (table::Socket socket = table->At(i)) {
      socket.entry().type.store(table::Type::kStream);
      table->Close(socket);
    }
  }
  ip.reset();
}

void Script::Advance(Duration duration) {
  const Instant end = now + duration;
  while (tcp->NextDeadline() <= end) {
    now = std::max(now, tcp->NextDeadline());
    tcp->OnTimer(now, 64);
    tcp->EndOfBurst(now);
  }
  now = end;
}

void Script::EndOfBurst() {
  tcp->EndOfBurst(now);
  Collect();
}

void Script::PushInBurst(const Seg& s) {
  wire::TcpOptions options;
  if (s.mss) options.has_mss = true, options.mss = *s.mss;
  if (s.scale) options.has_window_scale = true, options.window_scale = *s.scale;
  options.sack_permitted = s.sack_ok.value_or(false);
  if (s.ts) options.has_timestamps = true, options.timestamps = {*s.ts, s.ts_echo.value_or(0)};
  const uint32_t isn = isns_[FlowOf(local_port, peer_port)];
  if (s.sack) {
    for (const auto& [begin, end] : *s.sack) {
      options.sack[options.sack_count++] = {Sequence(begin + isn), Sequence(end + isn)};
    }
  }
  wire::TcpHeader header;
  header.source_port = peer_port;
  header.destination_port = local_port;
  header.sequence = Sequence(s.seq.value_or(0) + peer_isn);
  header.acknowledgment = Sequence((s.flags & wire::kTcpAck) != 0 ? s.ack.value_or(0) + isn : 0);
  header.flags = s.flags;
  header.window = static_cast<uint16_t>(s.window.value_or(65535));
  header.urgent_pointer = s.urgent.value_or(0);
  header.header_bytes = static_cast<uint8_t>(20 + options.size());
  const std::string text = s.text ? *s.text : Pattern(s.length.value_or(0), s.seq.value_or(0));

  rte_mbuf* packet = rte_pktmbuf_alloc(pool_.get());
  REQUIRE(packet != nullptr);
  const size_t l3 = config_.v6 ? 40 : 20;
  const size_t l4 = header.header_bytes + text.size();
  auto* at = reinterpret_cast<uint8_t*>(rte_pktmbuf_append(packet, static_cast<uint16_t>(l3 + l4)));
  REQUIRE(at != nullptr);
  if (config_.v6) {
    wire::Ipv6Header h;
    h.source = peer_address;
    h.destination = local_address;
    h.payload_bytes = static_cast<uint16_t>(l4);
    h.next_header = ip::kProtocolTcp;
    h.hop_limit = s.ttl;
    h.Emit({at, l3});
  } else {
    wire::Ipv4Header h;
    h.source = peer_address;
    h.destination = local_address;
    h.total_bytes = static_cast<uint16_t>(l3 + l4);
    h.ttl = s.ttl;
    h.protocol = ip::kProtocolTcp;
    h.Emit({at, l3});
    wire::StoreIpv4Checksum({at, l3});
  }
  uint8_t* segment = at + l3;
  header.Emit({segment, header.header_bytes});
  options.Emit({segment + 20, options.size()});
  if (!text.empty()) std::memcpy(segment + header.header_bytes, text.data(), text.size());
  const uint64_t sum = wire::PseudoHeaderSum(peer_address, local_address, ip::kProtocolTcp,
                                             static_cast<uint32_t>(l4)) +
                       wire::Sum({segment, l4});
  wire::Store16(segment + wire::kTcpChecksumOffset,
                static_cast<uint16_t>(wire::Checksum(sum) ^ (s.bad_checksum ? 1 : 0)));
  Deliver(packet);
}

void Script::Deliver(rte_mbuf* packet) {
  ip::Inbound inbound;
  switch (ip->Input(now, interface_, packet, &inbound)) {
    case ip::Verdict::kConsumed:
      break;
    case ip::Verdict::kDeliver:
      REQUIRE(inbound.info.protocol == ip::kProtocolTcp);
      tcp->Input(now, inbound);
      break;
    case ip::Verdict::kError:
      tcp->Error(now, inbound.error);
      rte_pktmbuf_free(inbound.packet);
      break;
  }
}

void Script::Loop() {
  for (int i = 0; i < 1000; ++i) {
    rte_mbuf* packet = ip->TakeLooped();
    if (packet == nullptr) return;
    ip::Inbound inbound;
    REQUIRE(ip->Input(now, ip::kLoopbackInterface, packet, &inbound) == ip::Verdict::kDeliver);
    tcp->Input(now, inbound);
    tcp->EndOfBurst(now);
  }
  FAIL("the loop does not come to rest");
}

void Script::Icmp(ip::IcmpErrorKind kind, uint32_t sequence, uint32_t mtu) {
  ip::IcmpError error;
  error.kind = kind;
  error.protocol = ip::kProtocolTcp;
  error.interface = interface_;
  error.source = {local_address, local_port, 0};
  error.destination = {peer_address, peer_port, 0};
  error.tcp_sequence = sequence + isns_[FlowOf(local_port, peer_port)];
  error.mtu = mtu;
  tcp->Error(now, error);
  EndOfBurst();
}

void Script::CheckChecksum(std::span<const uint8_t> segment) {
  const auto bytes = static_cast<uint32_t>(segment.size());
  const uint64_t sum = wire::PseudoHeaderSum(local_address, peer_address, ip::kProtocolTcp, bytes);
  REQUIRE(wire::ChecksumValid(sum + wire::Sum(segment)));
}

// What was emitted, checked down to its checksums.
Seg Script::Parse(const rte_mbuf* packet) {
  std::string bytes(packet->pkt_len, '\0');
  size_t copied = 0;
  for (const rte_mbuf* m = packet; m != nullptr; m = m->next) {
    std::memcpy(bytes.data() + copied, rte_pktmbuf_mtod(m, const void*), m->data_len);
    copied += m->data_len;
  }
  REQUIRE(copied == packet->pkt_len);
  const auto* p = reinterpret_cast<const uint8_t*>(bytes.data());
  wire::ConstBytes whole(p, bytes.size());
  size_t l3 = 40;
  if (!config_.v6) {
    const auto header = wire::Ipv4Header::Parse(whole);
    REQUIRE(header);
    REQUIRE(wire::Ipv4ChecksumValid(whole.first(20)));
    REQUIRE(header->dont_fragment);
    l3 = header->size();
  }
  wire::ConstBytes segment = whole.subspan(l3);
  if (config_.segmentation) {
    REQUIRE((packet->ol_flags & RTE_MBUF_F_TX_TCP_CKSUM) != 0);
  } else {
    CheckChecksum(segment);
  }
  REQUIRE((packet->tso_segsz != 0 || segment.size() + l3 <= config_.mtu));
  const auto header = wire::TcpHeader::Parse(segment);
  REQUIRE(header);
  const auto options = wire::TcpOptions::Parse(segment.subspan(20, header->header_bytes - 20u));
  REQUIRE(!options.malformed);
  last_local_port = header->source_port;
  last_remote_port = header->destination_port;
  const uint32_t flow = FlowOf(last_local_port, last_remote_port);
  if (header->syn()) isns_[flow] = our_isn = header->sequence.value();

  Seg s;
  s.flags = header->flags;
  s.seq = header->sequence.value() - isns_[flow];
  s.ack = header->ack() ? header->acknowledgment.value() - peer_isn : 0;
  s.window = header->window;
  if (options.has_mss) s.mss = options.mss;
  if (options.has_window_scale) s.scale = options.window_scale;
  s.sack_ok = options.sack_permitted;
  if (options.has_timestamps) {
    s.ts = last_ts = options.timestamps.value;
    s.ts_echo = options.timestamps.echo_reply;
  }
  s.sack.emplace();
  for (unsigned i = 0; i < options.sack_count; ++i) {
    s.sack->emplace_back(options.sack[i].begin.value() - peer_isn,
                         options.sack[i].end.value() - peer_isn);
  }
  s.text = bytes.substr(l3 + header->header_bytes);
  if (header->urg()) s.urgent = header->urgent_pointer;
  sent_end = std::max(sent_end, *s.seq + static_cast<uint32_t>(s.text->size()));
  return s;
}

void Script::Collect() {
  for (;;) {
    auto frames = ip->TransmitQueue(interface_);
    if (frames.empty()) return;
    const size_t count = frames.size();
    for (rte_mbuf* frame : frames) {
      const Seg segment = Parse(frame);
      sent_.push_back({segment, last_ts, last_remote_port, last_local_port,
                       static_cast<uint16_t>(frame->tso_segsz)});
      rte_pktmbuf_free(frame);
    }
    ip->Transmitted(interface_, count);
  }
}

Seg Script::Next() {
  Collect();
  REQUIRE(!sent_.empty());
  const Sent sent = sent_.front();
  sent_.pop_front();
  last_ts = sent.ts;
  last_remote_port = sent.remote_port;
  last_local_port = sent.local_port;
  last_segment_bytes = sent.segment_bytes;
  return sent.segment;
}

void Script::Expect(const Seg& wanted) {
  INFO("expected: " << ToString(wanted));
  const Seg found = Next();
  INFO("found:    " << ToString(found));
  REQUIRE(Matches(wanted, found));
}

void Script::ExpectNothing() {
  Collect();
  INFO("found: " << (sent_.empty() ? "" : ToString(sent_.front().segment)));
  REQUIRE(sent_.empty());
}

table::Socket Script::Open() {
  const table::Handle handle =
      table->Open(table::Type::kStream, IPPROTO_TCP, config_.v6 ? AF_INET6 : AF_INET,
                  table::Status::kUnconnected);
  REQUIRE(!handle.is_none());
  return table->Find(handle);
}

table::Socket Script::Listen(uint16_t port, uint32_t backlog) {
  table::Socket socket = Open();
  const wire::IpAddress any = config_.v6 ? wire::IpAddress::AnyV6() : wire::IpAddress::AnyV4();
  REQUIRE(tcp->Bind(now, socket, {any, port, 0}) == table::Result::kOk);
  REQUIRE(tcp->Listen(now, socket, backlog) == table::Result::kOk);
  return socket;
}

table::Result Script::Connect(table::Socket socket, uint16_t port) {
  peer_port = port;
  const table::Result result = tcp->Connect(now, socket, {peer_address, port, 0});
  EndOfBurst();
  local_port = socket.entry().local.Load().port;
  return result;
}

bool Script::Accept(table::Socket from, table::Socket* socket) {
  const table::Handle handle = table::ReadConnection(region_, from.entry());
  if (handle.is_none()) return false;
  tcp->Doorbell(now, from);
  EndOfBurst();
  *socket = table->Find(handle);
  return static_cast<bool>(*socket);
}

uint32_t Script::WriteInBurst(table::Socket socket, const std::string& bytes) {
  table::SendWriter writer(region_, socket.entry());
  const uint32_t count =
      writer.Write({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  tcp->Doorbell(now, socket);
  return count;
}

std::string Script::Read(table::Socket socket, size_t most) {
  std::string bytes(std::min<size_t>(most, table::ReceiveQueueBytes(socket.entry())), '\0');
  table::ReceiveReader reader(region_, socket.entry());
  const uint32_t count =
      reader.Read({reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()}, false);
  bytes.resize(count);
  tcp->Doorbell(now, socket);
  EndOfBurst();
  return bytes;
}

void Script::Shutdown(table::Socket socket, uint32_t how) {
  REQUIRE(tcp->Shutdown(now, socket, how) == table::Result::kOk);
  EndOfBurst();
}

void Script::Close(table::Socket socket) {
  tcp->Close(now, socket);
  EndOfBurst();
}

void Script::Set(table::Socket socket, table::Flag flag, bool on) {
  socket.entry().options.Set(flag, on);
  tcp->OptionsChanged(now, socket);
  EndOfBurst();
}

bool Script::TakeEvent() {
  uint32_t index;
  bool any = false;
  while (region_.events(0).Pop(index, region_.slot_queue_mask())) {
    region_.entry(index).event_pending.store(0);
    any = true;
  }
  return any;
}

table::Socket Script::Serve(Seg offer, uint32_t window) {
  if (!listener) listener = Listen(local_port);
  const bool timestamps = offer.ts.has_value();
  Push(offer.Seq(0).Win(window));
  Expect(SynAck().Seq(0).Ack(1));
  Seg ack = AckOf(1).Seq(1).Win(window);
  if (timestamps) ack.Ts(*offer.ts, last_ts);
  Push(ack);
  table::Socket socket;
  REQUIRE(Accept(listener, &socket));
  DropSent();
  return socket;
}

table::Socket Script::Dial(Seg answer, uint32_t window) {
  table::Socket socket = Open();
  REQUIRE(Connect(socket) == table::Result::kInProgress);
  Expect(Syn().Seq(0));
  if (answer.ts) answer.TsEcho(last_ts);
  Push(answer.Seq(0).Ack(1).Win(window));
  Expect(AckOf(1).Seq(1));
  REQUIRE(socket.status() == table::Status::kConnected);
  return socket;
}

table::TcpInformation Script::Info(table::Socket socket) {
  table::TcpInformation information;
  REQUIRE(tcp->Information(now, socket, &information));
  return information;
}

}  // namespace sluice::tcp
