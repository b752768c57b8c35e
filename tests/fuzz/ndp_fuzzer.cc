// Neighbour discovery: every input is read as each message, and as options alone.
#include "fuzz.h"
#include "wire/ndp.h"

using namespace sluice;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const wire::ConstBytes input(data, size);
  fuzz::RoundTrip<wire::RouterSolicitation>(input);
  fuzz::RoundTrip<wire::RouterAdvertisement>(input);
  fuzz::RoundTrip<wire::NeighborSolicitation>(input);
  fuzz::RoundTrip<wire::NeighborAdvertisement>(input);
  fuzz::RoundTrip<wire::Redirect>(input);
  fuzz::RoundTrip<wire::NdpOptions>(input);
  return 0;
}
