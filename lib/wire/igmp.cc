#include "wire/igmp.h"

#include "wire/checksum.h"

namespace sluice::wire {
namespace {

constexpr size_t kV3QueryBytes = 12;
constexpr uint8_t kSuppressFlag = 0x08;

// RFC 2236 section 2.2 and RFC 3376 section 4.1.1: response codes count tenths of a second.
constexpr int64_t kResponseUnitMs = 100;
// RFC 3376 section 8.3: what a query of version 1 means.
constexpr Duration kV1Response = Seconds(10);

void StoreChecksum(Bytes message) { Store16(message.data() + 2, Checksum(Sum(message))); }

}  // namespace

std::optional<IgmpMessage> IgmpMessage::Parse(ConstBytes message) {
  if (message.size() < 8) return std::nullopt;
  const uint8_t type = message[0];
  if (type != IgmpType::kV1Report && type != IgmpType::kV2Report && type != IgmpType::kV2Leave) {
    return std::nullopt;
  }
  return IgmpMessage{type, IpAddress::FromV4Bytes(message.data() + 4)};
}

void IgmpMessage::Emit(Bytes out) const {
  const Bytes message = out.first(size());
  message[0] = type;
  message[1] = 0;
  Store16(message.data() + 2, 0);
  std::memcpy(message.data() + 4, group.v4_bytes(), 4);
  StoreChecksum(message);
}

std::optional<GroupQuery> ParseIgmpQuery(ConstBytes message) {
  if (message.size() < 8 || message[0] != IgmpType::kQuery) return std::nullopt;
  GroupQuery query;
  query.group = IpAddress::FromV4Bytes(message.data() + 4);
  if (message.size() == 8) {
    query.version = message[1] == 0 ? 1 : 2;
    query.response_max = message[1] == 0 ? kV1Response : Milliseconds(message[1] * kResponseUnitMs);
    return query;
  }
  // RFC 3376 section 7.1: lengths between those of versions 2 and 3 are of no version.
  if (message.size() < kV3QueryBytes) return std::nullopt;
  const size_t sources = Load16(message.data() + 10) * size_t{4};
  if (message.size() < kV3QueryBytes + sources) return std::nullopt;
  query.version = 3;
  query.response_max = Milliseconds(UnpackTime(message[1], 8) * kResponseUnitMs);
  query.suppress = (message[8] & kSuppressFlag) != 0;
  query.robustness = message[8] & 7;
  query.interval_code = message[9];
  query.sources = AddressList(message.subspan(kV3QueryBytes, sources), true);
  return query;
}

size_t IgmpQuerySize(const GroupQuery& query) {
  return query.version < 3 ? 8 : kV3QueryBytes + query.sources.size() * 4;
}

void EmitIgmpQuery(const GroupQuery& query, Bytes out) {
  const Bytes message = out.first(IgmpQuerySize(query));
  const auto units = static_cast<uint32_t>(query.response_max.milliseconds() / kResponseUnitMs);
  message[0] = IgmpType::kQuery;
  message[1] = query.version == 1   ? uint8_t{0}
               : query.version == 2 ? static_cast<uint8_t>(units)
                                    : static_cast<uint8_t>(PackTime(units, 8));
  Store16(message.data() + 2, 0);
  std::memcpy(message.data() + 4, query.group.v4_bytes(), 4);
  if (query.version >= 3) {
    message[8] =
        static_cast<uint8_t>((query.suppress ? kSuppressFlag : 0) | (query.robustness & 7));
    message[9] = query.interval_code;
    Store16(message.data() + 10, static_cast<uint16_t>(query.sources.size()));
    for (size_t i = 0; i < query.sources.size(); ++i) {
      std::memcpy(message.data() + kV3QueryBytes + i * 4, query.sources[i].v4_bytes(), 4);
    }
  }
  StoreChecksum(message);
}

size_t IgmpV3ReportSize(std::span<const GroupRecord> records) {
  size_t bytes = 8;
  for (const GroupRecord& record : records) bytes += 8 + record.sources.size() * 4;
  return bytes;
}

// RFC 3376 section 4.2.
void EmitIgmpV3Report(std::span<const GroupRecord> records, Bytes out) {
  const Bytes message = out.first(IgmpV3ReportSize(records));
  std::memset(message.data(), 0, 8);
  message[0] = IgmpType::kV3Report;
  Store16(message.data() + 6, static_cast<uint16_t>(records.size()));
  uint8_t* p = message.data() + 8;
  for (const GroupRecord& record : records) {
    p[0] = static_cast<uint8_t>(record.type);
    p[1] = 0;
    Store16(p + 2, static_cast<uint16_t>(record.sources.size()));
    std::memcpy(p + 4, record.group.v4_bytes(), 4);
    p += 8;
    for (const IpAddress& source : record.sources) {
      std::memcpy(p, source.v4_bytes(), 4);
      p += 4;
    }
  }
  StoreChecksum(message);
}

}  // namespace sluice::wire
