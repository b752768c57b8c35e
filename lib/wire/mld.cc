#include "wire/mld.h"

namespace sluice::wire {
namespace {

constexpr size_t kV1Bytes = 24;
constexpr size_t kV2QueryBytes = 28;
constexpr uint8_t kSuppressFlag = 0x08;

// Groups are multicast addresses, or unspecified in general queries; never IPv4 in disguise.
bool IsGroup(const IpAddress& address) { return address.is_v6() && address.is_multicast(); }

}  // namespace

std::optional<MldMessage> MldMessage::Parse(ConstBytes message) {
  if (message.size() < kV1Bytes) return std::nullopt;
  if (message[0] != Icmpv6Type::kMldV1Report && message[0] != Icmpv6Type::kMldV1Done) {
    return std::nullopt;
  }
  const IpAddress group = IpAddress::FromV6Bytes(message.data() + 8);
  if (!IsGroup(group)) return std::nullopt;
  return MldMessage{message[0], group};
}

void MldMessage::Emit(Bytes out) const {
  uint8_t* p = out.first(kV1Bytes).data();
  std::memset(p, 0, 8);
  p[0] = type;
  std::memcpy(p + 8, group.bytes().data(), 16);
}

std::optional<GroupQuery> ParseMldQuery(ConstBytes message) {
  if (message.size() < kV1Bytes || message[0] != Icmpv6Type::kMldQuery) return std::nullopt;
  GroupQuery query;
  const uint8_t* p = message.data();
  query.group = IpAddress::FromV6Bytes(p + 8);
  if (query.group != IpAddress::AnyV6() && !IsGroup(query.group)) return std::nullopt;
  const uint16_t code = Load16(p + 4);
  if (message.size() == kV1Bytes) {
    query.version = 1;
    query.response_max = Milliseconds(code);
    return query;
  }
  // RFC 3810 section 8.1: lengths between those of the versions are of no version.
  if (message.size() < kV2QueryBytes) return std::nullopt;
  const size_t sources = Load16(p + 26) * size_t{16};
  if (message.size() < kV2QueryBytes + sources) return std::nullopt;
  query.version = 2;
  query.response_max = Milliseconds(UnpackTime(code, 16));
  query.suppress = (p[24] & kSuppressFlag) != 0;
  query.robustness = p[24] & 7;
  query.interval_code = p[25];
  query.sources = AddressList(message.subspan(kV2QueryBytes, sources), false);
  return query;
}

size_t MldQuerySize(const GroupQuery& query) {
  return query.version < 2 ? kV1Bytes : kV2QueryBytes + query.sources.size() * 16;
}

void EmitMldQuery(const GroupQuery& query, Bytes out) {
  uint8_t* p = out.first(MldQuerySize(query)).data();
  const auto ms = static_cast<uint32_t>(query.response_max.milliseconds());
  std::memset(p, 0, 8);
  p[0] = Icmpv6Type::kMldQuery;
  Store16(p + 4, static_cast<uint16_t>(query.version < 2 ? ms : PackTime(ms, 16)));
  std::memcpy(p + 8, query.group.bytes().data(), 16);
  if (query.version < 2) return;
  p[24] = static_cast<uint8_t>((query.suppress ? kSuppressFlag : 0) | (query.robustness & 7));
  p[25] = query.interval_code;
  Store16(p + 26, static_cast<uint16_t>(query.sources.size()));
  p += kV2QueryBytes;
  for (size_t i = 0; i < query.sources.size(); ++i, p += 16) {
    std::memcpy(p, query.sources[i].bytes().data(), 16);
  }
}

size_t MldV2ReportSize(std::span<const GroupRecord> records) {
  size_t bytes = 8;
  for (const GroupRecord& record : records) bytes += 20 + record.sources.size() * 16;
  return bytes;
}

// RFC 3810 section 5.2.
void EmitMldV2Report(std::span<const GroupRecord> records, Bytes out) {
  uint8_t* p = out.first(MldV2ReportSize(records)).data();
  std::memset(p, 0, 8);
  p[0] = Icmpv6Type::kMldV2Report;
  Store16(p + 6, static_cast<uint16_t>(records.size()));
  p += 8;
  for (const GroupRecord& record : records) {
    p[0] = static_cast<uint8_t>(record.type);
    p[1] = 0;
    Store16(p + 2, static_cast<uint16_t>(record.sources.size()));
    std::memcpy(p + 4, record.group.bytes().data(), 16);
    p += 20;
    for (const IpAddress& source : record.sources) {
      std::memcpy(p, source.bytes().data(), 16);
      p += 16;
    }
  }
}

}  // namespace sluice::wire
