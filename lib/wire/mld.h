// Multicast listener discovery: queries of versions 1 (RFC 2710) and 2 (RFC 3810), reports of both.
// Parse takes the whole ICMPv6 message. Emit writes a zero checksum: it depends on the addresses of
// the packet.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "wire/address.h"
#include "wire/bytes.h"
#include "wire/group_record.h"
#include "wire/icmpv6.h"

namespace sluice::wire {

// A report or "done" of version 1: 24 bytes.
struct MldMessage {
  uint8_t type = Icmpv6Type::kMldV1Report;
  IpAddress group;

  // Refuses other types.
  static std::optional<MldMessage> Parse(ConstBytes message);
  constexpr size_t size() const { return 24; }
  void Emit(Bytes out) const;
  friend constexpr bool operator==(const MldMessage&, const MldMessage&) = default;
};

// By its length the query is of version 1 or 2 (RFC 3810 section 8.1).
std::optional<GroupQuery> ParseMldQuery(ConstBytes message);
size_t MldQuerySize(const GroupQuery& query);
void EmitMldQuery(const GroupQuery& query, Bytes out);

size_t MldV2ReportSize(std::span<const GroupRecord> records);
void EmitMldV2Report(std::span<const GroupRecord> records, Bytes out);

// Calls visit(record) for each record; false if the message is not a well formed report.
template <typename Visitor>
bool ParseMldV2Report(ConstBytes message, Visitor&& visit) {
  constexpr size_t kHeader = 8, kRecord = 20;
  if (message.size() < kHeader || message[0] != Icmpv6Type::kMldV2Report) return false;
  ConstBytes rest = message.subspan(kHeader);
  for (int left = Load16(message.data() + 6); left > 0; --left) {
    if (rest.size() < kRecord) return false;
    const size_t sources = Load16(rest.data() + 2) * size_t{16};
    const size_t bytes = kRecord + sources + rest[1] * size_t{4};  // auxiliary data is skipped
    if (rest.size() < bytes || rest[0] < 1 || rest[0] > 6) return false;
    visit(ReceivedGroupRecord{static_cast<GroupRecordType>(rest[0]),
                              IpAddress::FromV6Bytes(rest.data() + 4),
                              AddressList(rest.subspan(kRecord, sources), false)});
    rest = rest.subspan(bytes);
  }
  return true;
}

}  // namespace sluice::wire
