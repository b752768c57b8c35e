// UDP, and TCP with its options. Every input is read as both.
#include "fuzz.h"
#include "wire/tcp.h"
#include "wire/tcp_options.h"
#include "wire/udp.h"

using namespace sluice;

namespace {

void CheckOptions(wire::ConstBytes bytes) {
  const wire::TcpOptions options = wire::TcpOptions::Parse(bytes);
  fuzz::Check(options.sack_count <= wire::TcpOptions::kSackBlocksMax, "SACK blocks fit");
  fuzz::Check(options.window_scale <= wire::TcpOptions::kWindowScaleMax, "the scale is in range");
  // Our layout pads more than a peer's may: what filled 40 bytes need not fit them again.
  if (options.size() > wire::kTcpOptionsBytesMax) return;
  const wire::TcpOptions again = wire::TcpOptions::Parse(fuzz::Emitted(options));
  fuzz::Check(!again.malformed, "what we emit is well formed");
  wire::TcpOptions expected = options;
  expected.malformed = false;
  // Blocks of an earlier SACK option may stand behind the count of the last.
  for (int i = options.sack_count; i < wire::TcpOptions::kSackBlocksMax; ++i) expected.sack[i] = {};
  fuzz::Check(again == expected, "the options are the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const wire::ConstBytes input(data, size);
  fuzz::RoundTripWith<wire::UdpHeader>(
      input, [](wire::ConstBytes bytes) { return wire::UdpHeader::Parse(bytes, UINT16_MAX); });
  if (const auto header = wire::TcpHeader::Parse(input)) {
    fuzz::Check(header->header_bytes <= size, "the header lies in the segment");
    std::vector<uint8_t> bytes(input.begin(), input.begin() + header->header_bytes);
    header->Emit(bytes);
    fuzz::Check(wire::TcpHeader::Parse(bytes) == header, "the values are the same");
    CheckOptions(
        input.subspan(wire::kTcpHeaderBytesMin, header->header_bytes - wire::kTcpHeaderBytesMin));
  }
  CheckOptions(input);
  return 0;
}
