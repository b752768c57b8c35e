// ICMP of both families and the packets that their errors quote.
#include "fuzz.h"
#include "wire/icmpv4.h"
#include "wire/icmpv6.h"
#include "wire/quoted_packet.h"

using namespace sluice;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const wire::ConstBytes input(data, size);
  fuzz::RoundTrip<wire::Icmpv4Header>(input);
  fuzz::RoundTrip<wire::Icmpv6Header>(input);
  if (size < wire::kIcmpHeaderBytes) return 0;
  if (const auto quoted = wire::QuotedPacket::Parse(input.subspan(wire::kIcmpHeaderBytes))) {
    const size_t quoted_bytes = size - wire::kIcmpHeaderBytes;
    fuzz::Check(quoted->transport_offset <= quoted_bytes, "the transport lies in the quotation");
    fuzz::Check(!quoted->has_ports || quoted->transport_offset + 8u <= quoted_bytes,
                "ports were quoted");
    fuzz::Check(quoted->source.is_v4() == quoted->destination.is_v4(), "one family");
  }
  return 0;
}
