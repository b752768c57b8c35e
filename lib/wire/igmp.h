// IGMP, the messages a host hears and sends: queries of all versions, reports of version 2 (RFC
// 2236) and version 3 (RFC 3376). Checksums are for the caller; Emit writes a right one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "wire/address.h"
#include "wire/bytes.h"
#include "wire/group_record.h"

namespace sluice::wire {

struct IgmpType {
  static constexpr uint8_t kQuery = 0x11;
  static constexpr uint8_t kV1Report = 0x12;
  static constexpr uint8_t kV2Report = 0x16;
  static constexpr uint8_t kV2Leave = 0x17;
  static constexpr uint8_t kV3Report = 0x22;
};

// A message of eight bytes: reports and leaves of versions 1 and 2.
struct IgmpMessage {
  uint8_t type = IgmpType::kV2Report;
  IpAddress group = IpAddress::AnyV4();

  // Refuses other types.
  static std::optional<IgmpMessage> Parse(ConstBytes message);
  constexpr size_t size() const { return 8; }
  void Emit(Bytes out) const;
  friend constexpr bool operator==(const IgmpMessage&, const IgmpMessage&) = default;
};

// By length and response code the query is of version 1, 2 or 3 (RFC 3376 section 7.1).
std::optional<GroupQuery> ParseIgmpQuery(ConstBytes message);
size_t IgmpQuerySize(const GroupQuery& query);
void EmitIgmpQuery(const GroupQuery& query, Bytes out);

size_t IgmpV3ReportSize(std::span<const GroupRecord> records);
void EmitIgmpV3Report(std::span<const GroupRecord> records, Bytes out);

// Calls visit(record) for each record; false if the message is not a well formed report.
template <typename Visitor>
bool ParseIgmpV3Report(ConstBytes message, Visitor&& visit) {
  constexpr size_t kHeader = 8;
  if (message.size() < kHeader || message[0] != IgmpType::kV3Report) return false;
  ConstBytes rest = message.subspan(kHeader);
  for (int left = Load16(message.data() + 6); left > 0; --left) {
    if (rest.size() < kHeader) return false;
    const size_t sources = Load16(rest.data() + 2) * size_t{4};
    const size_t bytes = kHeader + sources + rest[1] * size_t{4};  // auxiliary data is skipped
    if (rest.size() < bytes || rest[0] < 1 || rest[0] > 6) return false;
    visit(ReceivedGroupRecord{static_cast<GroupRecordType>(rest[0]),
                              IpAddress::FromV4Bytes(rest.data() + 4),
                              AddressList(rest.subspan(kHeader, sources), true)});
    rest = rest.subspan(bytes);
  }
  return true;
}

}  // namespace sluice::wire
