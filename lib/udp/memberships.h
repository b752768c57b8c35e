// Which groups each socket has joined, and with which sources (RFC 3678): the sockets' side of
// IP_ADD_MEMBERSHIP, IP_ADD_SOURCE_MEMBERSHIP, IP_BLOCK_SOURCE and their relatives. The internet
// layer is told the outcome of each change.
//
// A socket's memberships are a list that begins in its control block. Bounded. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/time.h"
#include "ip/config.h"
#include "table/command.h"
#include "table/result.h"
#include "wire/address.h"

namespace sluice::ip {
class Stack;
}

namespace sluice::udp {

class Memberships {
 public:
  static constexpr uint32_t kNone = 0xffffffff;

  Memberships(ip::Stack& ip, uint32_t memberships_max) : ip_(ip), max_(memberships_max) {}

  // `head` is the list of the socket that `member` names. kNoBuffers: a limit.
  table::Result Join(Instant now, uint32_t& head, uint64_t member, uint16_t interface,
                     const wire::IpAddress& group);
  table::Result Leave(Instant now, uint32_t& head, uint64_t member, uint16_t interface,
                      const wire::IpAddress& group);
  table::Result Source(Instant now, uint32_t& head, uint64_t member, uint16_t interface,
                       const wire::IpAddress& group, const wire::IpAddress& source,
                       table::SourceOperation operation);
  // The socket closes.
  void Clear(Instant now, uint32_t& head, uint64_t member);

  // Whether the socket itself is in the group: then the internet layer knows what it wants of it.
  bool Joined(uint32_t head, uint16_t interface, const wire::IpAddress& group) const {
    return FindIn(head, interface, group) != kNone;
  }

 private:
  struct Membership {
    wire::IpAddress group;
    uint16_t interface = 0;
    ip::FilterMode mode = ip::FilterMode::kExclude;
    uint32_t next = kNone;
    uint32_t count = 0;
    std::array<wire::IpAddress, ip::kFilterSourcesMax> sources;
  };

  uint32_t FindIn(uint32_t head, uint16_t interface, const wire::IpAddress& group) const;
  table::Result Add(Instant now, uint32_t& head, uint64_t member, const Membership& membership);
  table::Result Apply(Instant now, uint64_t member, const Membership& membership);
  void Remove(uint32_t& head, uint32_t index);

  ip::Stack& ip_;
  uint32_t max_;
  std::vector<Membership> memberships_;  // grows with the first joins, up to max_
  uint32_t free_ = kNone;
};

// What a change in the internet layer's tables means to a program.
table::Result ResultOf(ip::ConfigResult result);

}  // namespace sluice::udp
