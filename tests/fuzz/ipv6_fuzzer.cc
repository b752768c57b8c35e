// The IPv6 header and the walk over its extension headers.
#include "fuzz.h"
#include "wire/icmpv6.h"
#include "wire/ipv6.h"
#include "wire/ipv6_extension.h"

using namespace sluice;

namespace {

void CheckChain(const wire::Ipv6Header& header, wire::ConstBytes packet) {
  using Verdict = wire::Ipv6Chain::Verdict;
  const wire::Ipv6Chain chain = wire::WalkIpv6Chain(header, packet);
  const size_t end = wire::kIpv6HeaderBytes + header.payload_bytes;
  switch (chain.verdict) {
    case Verdict::kPayload:
      fuzz::Check(chain.offset >= wire::kIpv6HeaderBytes && chain.offset <= end,
                  "the payload lies in the packet");
      fuzz::Check(chain.offset <= packet.size(), "the chain lies in what is at hand");
      fuzz::Check(!wire::IsIpv6Extension(chain.next_header), "the walk went to the end");
      fuzz::Check(packet[chain.next_header_field] == chain.next_header, "the field names it");
      break;
    case Verdict::kFragment:
      fuzz::Check(!chain.fragment.is_atomic(), "an atomic fragment is walked over");
      fuzz::Check(chain.offset == chain.fragment_header_offset + wire::kIpv6FragmentHeaderBytes,
                  "the fragment follows its header");
      fuzz::Check(chain.offset <= end && chain.offset <= packet.size(),
                  "the header lies in the packet");
      fuzz::Check(packet[chain.next_header_field] == wire::kIpv6Fragment, "the field names it");
      fuzz::RoundTrip<wire::Ipv6FragmentHeader>(packet.subspan(chain.fragment_header_offset));
      break;
    case Verdict::kParameterProblem:
      fuzz::Check(chain.pointer < end, "the byte in error lies in the packet");
      fuzz::Check(chain.code <= wire::Icmpv6Parameter::kUnknownOption, "the code is a known one");
      break;
    case Verdict::kDiscard:
      break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const wire::ConstBytes input(data, size);
  const auto parse = [](wire::ConstBytes bytes) { return wire::Ipv6Header::ParseQuoted(bytes); };
  fuzz::RoundTripWith<wire::Ipv6Header>(input, parse);
  if (const auto header = parse(input)) CheckChain(*header, input);
  return 0;
}
