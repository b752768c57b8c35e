// The IPv4 header, its checksum, and its options.
#include "fuzz.h"
#include "wire/ipv4.h"

using namespace sluice;

namespace {

// The header alone, as if the rest of the packet lay in other segments.
std::optional<wire::Ipv4Header> ParseAlone(wire::ConstBytes bytes) {
  return wire::Ipv4Header::ParseQuoted(bytes);
}

void CheckOptions(wire::ConstBytes options) {
  uint8_t error_offset = 0;
  const auto parsed = wire::ParseIpv4Options(options, &error_offset);
  if (!parsed) {
    fuzz::Check(error_offset >= 20 && error_offset < 20 + options.size(), "the error is an option");
  }
  std::vector<uint8_t> copied(options.size());
  copied.resize(wire::CopyFragmentOptions(options, copied));
  fuzz::Check(copied.size() % 4 == 0, "copied options are padded");
  fuzz::Check(wire::ParseIpv4Options(copied).has_value(), "copied options are well formed");
  std::vector<uint8_t> twice(copied.size());
  fuzz::Check(wire::CopyFragmentOptions(copied, twice) == copied.size() && twice == copied,
              "copying copied options changes nothing");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const wire::ConstBytes input(data, size);
  fuzz::RoundTripWith<wire::Ipv4Header>(input, ParseAlone);
  if (const auto header = wire::Ipv4Header::Parse(input)) {
    fuzz::Check(header->size() + header->payload_bytes() <= size, "the payload lies in the packet");
  }
  if (const auto header = ParseAlone(input)) {
    CheckOptions(header->options);
    auto bytes = fuzz::Emitted(*header);
    wire::Store16(bytes.data() + wire::kIpv4ChecksumOffset, 0);
    wire::StoreIpv4Checksum(bytes);
    fuzz::Check(wire::Ipv4ChecksumValid(bytes), "a stored checksum is valid");
  }
  return 0;
}
