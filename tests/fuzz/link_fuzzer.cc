// Ethernet headers with their tags, and ARP.
#include "fuzz.h"
#include "wire/arp.h"
#include "wire/ethernet.h"

using namespace sluice;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const wire::ConstBytes input(data, size);
  fuzz::RoundTrip<wire::EthernetHeader>(input);
  fuzz::RoundTrip<wire::ArpPacket>(input);
  if (const auto header = wire::EthernetHeader::Parse(input)) {
    fuzz::Check(header->size() <= size, "the header lies in the frame");
    fuzz::RoundTrip<wire::ArpPacket>(input.subspan(header->size()));
  }
  return 0;
}
