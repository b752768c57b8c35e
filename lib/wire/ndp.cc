#include "wire/ndp.h"

#include "wire/icmpv6.h"

namespace sluice::wire {
namespace {

constexpr uint8_t kSourceLink = 1;
constexpr uint8_t kTargetLink = 2;
constexpr uint8_t kPrefixInformation = 3;
constexpr uint8_t kMtu = 5;

constexpr size_t kLinkOptionBytes = 8;
constexpr size_t kPrefixOptionBytes = 32;
constexpr size_t kMtuOptionBytes = 8;

constexpr uint8_t kOnLink = 0x80;
constexpr uint8_t kAutonomous = 0x40;
constexpr uint8_t kManaged = 0x80;
constexpr uint8_t kOther = 0x40;
constexpr uint8_t kRouter = 0x80;
constexpr uint8_t kSolicited = 0x40;
constexpr uint8_t kOverride = 0x20;

MacAddress LoadMac(const uint8_t* p) {
  MacAddress mac;
  std::memcpy(mac.bytes.data(), p, 6);
  return mac;
}

// Sections 6.1, 7.1, 8.1: the code is 0 and the message has its fixed part.
bool Begins(ConstBytes message, uint8_t type, size_t fixed_bytes) {
  return message.size() >= fixed_bytes && message[0] == type && message[1] == 0;
}

void EmitHeader(uint8_t* p, uint8_t type, size_t fixed_bytes) {
  std::memset(p, 0, fixed_bytes);
  p[0] = type;
}

// An address that is neither multicast nor IPv4 in disguise (see ipv6.h).
std::optional<IpAddress> LoadUnicast(const uint8_t* p) {
  const IpAddress address = IpAddress::FromV6Bytes(p);
  if (address.is_v4() || address.is_multicast()) return std::nullopt;
  return address;
}

PrefixInformation LoadPrefix(const uint8_t* p) {
  PrefixInformation information;
  information.prefix = {IpAddress::FromV6Bytes(p + 16), p[2]};
  information.on_link = (p[3] & kOnLink) != 0;
  information.autonomous = (p[3] & kAutonomous) != 0;
  information.valid_seconds = Load32(p + 4);
  information.preferred_seconds = Load32(p + 8);
  return information;
}

void StorePrefix(uint8_t* p, const PrefixInformation& information) {
  std::memset(p, 0, kPrefixOptionBytes);
  p[0] = kPrefixInformation;
  p[1] = kPrefixOptionBytes / 8;
  p[2] = static_cast<uint8_t>(information.prefix.length);
  p[3] = static_cast<uint8_t>((information.on_link ? kOnLink : 0) |
                              (information.autonomous ? kAutonomous : 0));
  Store32(p + 4, information.valid_seconds);
  Store32(p + 8, information.preferred_seconds);
  std::memcpy(p + 16, information.prefix.address.bytes().data(), 16);
}

void StoreLink(uint8_t* p, uint8_t type, const MacAddress& mac) {
  p[0] = type;
  p[1] = kLinkOptionBytes / 8;
  std::memcpy(p + 2, mac.bytes.data(), 6);
}

// Takes one option. Those of a length that is not its kind's are skipped like unknown ones.
void TakeOption(ConstBytes option, NdpOptions& options) {
  const uint8_t* p = option.data();
  if (option[0] == kSourceLink && option.size() == kLinkOptionBytes) {
    options.source_link = LoadMac(p + 2);
  } else if (option[0] == kTargetLink && option.size() == kLinkOptionBytes) {
    options.target_link = LoadMac(p + 2);
  } else if (option[0] == kMtu && option.size() == kMtuOptionBytes) {
    options.mtu = Load32(p + 4);
  } else if (option[0] == kPrefixInformation && option.size() == kPrefixOptionBytes) {
    const PrefixInformation information = LoadPrefix(p);
    const bool sane = information.prefix.length <= 128 && !information.prefix.address.is_v4();
    if (sane && options.prefix_count < NdpOptions::kPrefixesMax) {
      options.prefixes[options.prefix_count++] = information;
    }
  }
}

}  // namespace

std::optional<NdpOptions> NdpOptions::Parse(ConstBytes bytes) {
  NdpOptions options;
  while (!bytes.empty()) {
    if (bytes.size() < 2) return std::nullopt;
    const size_t length = bytes[1] * size_t{8};
    if (length == 0 || length > bytes.size()) return std::nullopt;
    TakeOption(bytes.first(length), options);
    bytes = bytes.subspan(length);
  }
  return options;
}

size_t NdpOptions::size() const {
  return (source_link ? kLinkOptionBytes : 0) + (target_link ? kLinkOptionBytes : 0) +
         (mtu ? kMtuOptionBytes : 0) + prefix_count * kPrefixOptionBytes;
}

void NdpOptions::Emit(Bytes out) const {
  uint8_t* p = out.first(size()).data();
  if (source_link) {
    StoreLink(p, kSourceLink, *source_link);
    p += kLinkOptionBytes;
  }
  if (target_link) {
    StoreLink(p, kTargetLink, *target_link);
    p += kLinkOptionBytes;
  }
  if (mtu) {
    p[0] = kMtu;
    p[1] = kMtuOptionBytes / 8;
    Store16(p + 2, 0);
    Store32(p + 4, *mtu);
    p += kMtuOptionBytes;
  }
  for (int i = 0; i < prefix_count; ++i, p += kPrefixOptionBytes) StorePrefix(p, prefixes[i]);
}

std::optional<RouterSolicitation> RouterSolicitation::Parse(ConstBytes message) {
  if (!Begins(message, Icmpv6Type::kRouterSolicitation, 8)) return std::nullopt;
  const auto options = NdpOptions::Parse(message.subspan(8));
  if (!options) return std::nullopt;
  return RouterSolicitation{*options};
}

void RouterSolicitation::Emit(Bytes out) const {
  EmitHeader(out.first(size()).data(), Icmpv6Type::kRouterSolicitation, 8);
  options.Emit(out.subspan(8));
}

std::optional<RouterAdvertisement> RouterAdvertisement::Parse(ConstBytes message) {
  if (!Begins(message, Icmpv6Type::kRouterAdvertisement, 16)) return std::nullopt;
  const auto options = NdpOptions::Parse(message.subspan(16));
  if (!options) return std::nullopt;
  const uint8_t* p = message.data();
  RouterAdvertisement result;
  result.hop_limit = p[4];
  result.managed = (p[5] & kManaged) != 0;
  result.other_configuration = (p[5] & kOther) != 0;
  result.lifetime_seconds = Load16(p + 6);
  result.reachable_ms = Load32(p + 8);
  result.retransmit_ms = Load32(p + 12);
  result.options = *options;
  return result;
}

void RouterAdvertisement::Emit(Bytes out) const {
  uint8_t* p = out.first(size()).data();
  EmitHeader(p, Icmpv6Type::kRouterAdvertisement, 16);
  p[4] = hop_limit;
  p[5] = static_cast<uint8_t>((managed ? kManaged : 0) | (other_configuration ? kOther : 0));
  Store16(p + 6, lifetime_seconds);
  Store32(p + 8, reachable_ms);
  Store32(p + 12, retransmit_ms);
  options.Emit(out.subspan(16));
}

std::optional<NeighborSolicitation> NeighborSolicitation::Parse(ConstBytes message) {
  if (!Begins(message, Icmpv6Type::kNeighborSolicitation, 24)) return std::nullopt;
  const auto target = LoadUnicast(message.data() + 8);
  const auto options = NdpOptions::Parse(message.subspan(24));
  if (!target || !options) return std::nullopt;
  return NeighborSolicitation{*target, *options};
}

void NeighborSolicitation::Emit(Bytes out) const {
  uint8_t* p = out.first(size()).data();
  EmitHeader(p, Icmpv6Type::kNeighborSolicitation, 24);
  std::memcpy(p + 8, target.bytes().data(), 16);
  options.Emit(out.subspan(24));
}

std::optional<NeighborAdvertisement> NeighborAdvertisement::Parse(ConstBytes message) {
  if (!Begins(message, Icmpv6Type::kNeighborAdvertisement, 24)) return std::nullopt;
  const auto target = LoadUnicast(message.data() + 8);
  const auto options = NdpOptions::Parse(message.subspan(24));
  if (!target || !options) return std::nullopt;
  NeighborAdvertisement result;
  result.router = (message[4] & kRouter) != 0;
  result.solicited = (message[4] & kSolicited) != 0;
  result.override_cached = (message[4] & kOverride) != 0;
  result.target = *target;
  result.options = *options;
  return result;
}

void NeighborAdvertisement::Emit(Bytes out) const {
  uint8_t* p = out.first(size()).data();
  EmitHeader(p, Icmpv6Type::kNeighborAdvertisement, 24);
  p[4] = static_cast<uint8_t>((router ? kRouter : 0) | (solicited ? kSolicited : 0) |
                              (override_cached ? kOverride : 0));
  std::memcpy(p + 8, target.bytes().data(), 16);
  options.Emit(out.subspan(24));
}

std::optional<Redirect> Redirect::Parse(ConstBytes message) {
  if (!Begins(message, Icmpv6Type::kRedirect, 40)) return std::nullopt;
  const auto target = LoadUnicast(message.data() + 8);
  const auto destination = LoadUnicast(message.data() + 24);
  const auto options = NdpOptions::Parse(message.subspan(40));
  if (!target || !destination || !options) return std::nullopt;
  return Redirect{*target, *destination, *options};
}

void Redirect::Emit(Bytes out) const {
  uint8_t* p = out.first(size()).data();
  EmitHeader(p, Icmpv6Type::kRedirect, 40);
  std::memcpy(p + 8, target.bytes().data(), 16);
  std::memcpy(p + 24, destination.bytes().data(), 16);
  options.Emit(out.subspan(40));
}

}  // namespace sluice::wire
