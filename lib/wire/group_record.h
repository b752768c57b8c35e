// What IGMPv3 (RFC 3376) and MLDv2 (RFC 3810) have in common: group records and source lists.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "base/time.h"
#include "wire/address.h"
#include "wire/bytes.h"

namespace sluice::wire {

// RFC 3376 section 4.2.12, RFC 3810 section 5.2.12.
enum class GroupRecordType : uint8_t {
  kModeIsInclude = 1,
  kModeIsExclude = 2,
  kChangeToInclude = 3,
  kChangeToExclude = 4,
  kAllowNewSources = 5,
  kBlockOldSources = 6,
};

// A record to be sent.
struct GroupRecord {
  GroupRecordType type = GroupRecordType::kModeIsInclude;
  IpAddress group;
  std::span<const IpAddress> sources;
};

// Addresses of one family one after another, in the packet that was parsed.
class AddressList {
 public:
  AddressList() = default;
  // `bytes` is a whole number of addresses.
  AddressList(ConstBytes bytes, bool v4) : bytes_(bytes), v4_(v4) {}

  size_t size() const { return bytes_.size() / width(); }
  IpAddress operator[](size_t i) const {
    const uint8_t* p = bytes_.subspan(i * width(), width()).data();
    return v4_ ? IpAddress::FromV4Bytes(p) : IpAddress::FromV6Bytes(p);
  }

  friend bool operator==(const AddressList& a, const AddressList& b) {
    return a.v4_ == b.v4_ && std::ranges::equal(a.bytes_, b.bytes_);
  }

 private:
  size_t width() const { return v4_ ? 4 : 16; }
  ConstBytes bytes_;
  bool v4_ = true;
};

// A record as received.
struct ReceivedGroupRecord {
  GroupRecordType type = GroupRecordType::kModeIsInclude;
  IpAddress group;
  AddressList sources;
};

// A membership or listener query, the same in both families.
struct GroupQuery {
  uint8_t version = 3;        // IGMP: 1, 2, 3; MLD: 1, 2
  IpAddress group;            // unspecified: a general query
  Duration response_max;      // answers are spread over this
  bool suppress = false;      // routers': no timer updates
  uint8_t robustness = 0;     // 0: use the default
  uint8_t interval_code = 0;  // of the querier, in its packed form
  AddressList sources;        // not empty: a group-and-source-specific query

  friend bool operator==(const GroupQuery&, const GroupQuery&) = default;
};

// The packed forms of RFC 3376 section 4.1.1 (8 bits) and RFC 3810 section 5.1.3 (16 bits): a
// value, or from half the range on a mantissa and an exponent. Pack gives the largest code not
// above the value.
constexpr uint32_t UnpackTime(uint32_t code, int bits) {
  const int mantissa_bits = bits - 4;
  if (code < 1u << (bits - 1)) return code;
  const uint32_t mantissa = code & ((1u << mantissa_bits) - 1);
  const uint32_t exponent = code >> mantissa_bits & 7;
  return (mantissa | 1u << mantissa_bits) << (exponent + 3);
}
constexpr uint32_t PackTime(uint32_t value, int bits) {
  const int mantissa_bits = bits - 4;
  if (value < 1u << (bits - 1)) return value;
  uint32_t exponent = 0;
  while (exponent < 7 && value >> (exponent + 3) >= 2u << mantissa_bits) ++exponent;
  uint32_t mantissa = value >> (exponent + 3);
  if (mantissa >= 2u << mantissa_bits) mantissa = (2u << mantissa_bits) - 1;
  return 1u << (bits - 1) | exponent << mantissa_bits | (mantissa & ((1u << mantissa_bits) - 1));
}

}  // namespace sluice::wire
