// Checksums and headers.
#include <benchmark/benchmark.h>

#include <array>
#include <string>
#include <vector>

#include "wire/checksum.h"
#include "wire/ethernet.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/tcp.h"
#include "wire/tcp_options.h"
#include "wire/udp.h"

namespace sluice::wire {
namespace {

void ChecksumSizes(benchmark::internal::Benchmark* benchmark) {
  for (const int64_t bytes : {64, 1460, 65536}) benchmark->Arg(bytes);
}

void SumOf(benchmark::State& state, const ChecksumVariant& variant) {
  const std::vector<uint8_t> bytes(static_cast<size_t>(state.range(0)), 0x5a);
  for (auto _ : state) benchmark::DoNotOptimize(variant.sum(bytes.data(), bytes.size()));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void CopyAndSumOf(benchmark::State& state, const ChecksumVariant& variant) {
  const std::vector<uint8_t> from(static_cast<size_t>(state.range(0)), 0x5a);
  std::vector<uint8_t> to(from.size());
  for (auto _ : state) {
    benchmark::DoNotOptimize(variant.copy_and_sum(to.data(), from.data(), from.size()));
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

// Every variant that this processor has.
[[maybe_unused]] const bool checksums_registered = [] {
  for (const ChecksumVariant& variant : ChecksumVariants()) {
    if (!variant.supported) continue;
    const std::string name = variant.name;
    benchmark::RegisterBenchmark(("Sum/" + name).c_str(), SumOf, variant)->Apply(ChecksumSizes);
    benchmark::RegisterBenchmark(("CopyAndSum/" + name).c_str(), CopyAndSumOf, variant)
        ->Apply(ChecksumSizes);
  }
  return true;
}();

template <typename Header>
void EmitHeader(benchmark::State& state, Header header) {
  std::array<uint8_t, 64> room{};
  for (auto _ : state) {
    benchmark::DoNotOptimize(header);
    header.Emit(room);
    benchmark::DoNotOptimize(room);
  }
}

template <typename Header>
void ParseHeader(benchmark::State& state, Header header) {
  std::array<uint8_t, 64> bytes{};
  header.Emit(bytes);
  for (auto _ : state) {
    benchmark::DoNotOptimize(bytes);
    auto parsed = Header::Parse(bytes);
    if (!parsed) state.SkipWithError("the header was refused");
    benchmark::DoNotOptimize(parsed);
  }
}

EthernetHeader Ethernet() {
  EthernetHeader header;
  header.source = {{2, 0, 0, 0, 0, 1}};
  header.destination = {{2, 0, 0, 0, 0, 2}};
  header.type = kEtherTypeIpv4;
  return header;
}
Ipv4Header Ipv4() {
  Ipv4Header header;
  header.source = *ParseIp("192.0.2.1");
  header.destination = *ParseIp("192.0.2.2");
  header.total_bytes = 60;
  header.ttl = 64;
  header.protocol = 6;
  return header;
}
Ipv6Header Ipv6() {
  Ipv6Header header;
  header.source = *ParseIp("2001:db8::1");
  header.destination = *ParseIp("2001:db8::2");
  header.payload_bytes = 20;
  header.next_header = 6;
  header.hop_limit = 64;
  return header;
}
UdpHeader Udp() {
  UdpHeader header;
  header.source_port = 1024;
  header.destination_port = 53;
  header.total_bytes = 64;
  return header;
}
BENCHMARK_CAPTURE(ParseHeader, ethernet, Ethernet());
BENCHMARK_CAPTURE(EmitHeader, ethernet, Ethernet());
BENCHMARK_CAPTURE(ParseHeader, ipv4, Ipv4());
BENCHMARK_CAPTURE(EmitHeader, ipv4, Ipv4());
BENCHMARK_CAPTURE(ParseHeader, ipv6, Ipv6());
BENCHMARK_CAPTURE(EmitHeader, ipv6, Ipv6());
BENCHMARK_CAPTURE(ParseHeader, udp, Udp());
BENCHMARK_CAPTURE(EmitHeader, udp, Udp());

// Header and timestamps, as nearly every segment has them.
struct Segment {
  TcpHeader header;
  TcpOptions options;
};
Segment Tcp() {
  Segment segment;
  segment.header.source_port = 1024;
  segment.header.destination_port = 80;
  segment.header.flags = kTcpAck;
  segment.options.has_timestamps = true;
  segment.options.timestamps = {1, 2};
  segment.header.header_bytes = static_cast<uint8_t>(kTcpHeaderBytesMin + segment.options.size());
  return segment;
}

void EmitTcp(benchmark::State& state) {
  Segment segment = Tcp();
  std::array<uint8_t, 64> room{};
  for (auto _ : state) {
    benchmark::DoNotOptimize(segment);
    segment.header.Emit(room);
    segment.options.Emit(Bytes(room).subspan(kTcpHeaderBytesMin));
    benchmark::DoNotOptimize(room);
  }
}
BENCHMARK(EmitTcp);

void ParseTcp(benchmark::State& state) {
  const Segment segment = Tcp();
  std::array<uint8_t, 64> bytes{};
  segment.header.Emit(bytes);
  segment.options.Emit(Bytes(bytes).subspan(kTcpHeaderBytesMin));
  for (auto _ : state) {
    benchmark::DoNotOptimize(bytes);
    const auto header = TcpHeader::Parse(bytes);
    auto options = TcpOptions::Parse(
        ConstBytes(bytes).subspan(kTcpHeaderBytesMin, header->header_bytes - kTcpHeaderBytesMin));
    if (!options.has_timestamps) state.SkipWithError("the options were refused");
    benchmark::DoNotOptimize(options);
  }
}
BENCHMARK(ParseTcp);

}  // namespace
}  // namespace sluice::wire
