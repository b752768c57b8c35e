// Addresses as text: what parses is written, and what is written parses to the same.
#include <cstring>
#include <string_view>

#include "fuzz.h"
#include "wire/address.h"

using namespace sluice;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto mac = wire::ParseMac(text)) {
    fuzz::Check(wire::ParseMac(wire::ToString(*mac)) == mac, "the MAC addresses are the same");
  }
  if (const auto address = wire::ParseIp(text)) {
    fuzz::Check(wire::ParseIp(wire::ToString(*address)) == address, "the addresses are the same");
  }
  if (const auto prefix = wire::ParsePrefix(text)) {
    const auto again = wire::ParsePrefix(wire::ToString(*prefix));
    fuzz::Check(again && again->address == prefix->address && again->length == prefix->length,
                "the prefixes are the same");
  }
  if (size == 16) {
    const auto address = wire::IpAddress::FromV6Bytes(data);
    fuzz::Check(wire::ParseIp(wire::ToString(address)) == address, "every address has a text");
  }
  return 0;
}
