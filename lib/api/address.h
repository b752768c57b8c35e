// sockaddr in and out.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <bit>
#include <cstring>

#include "api/descriptors.h"
#include "wire/address.h"

namespace sluice::api {

namespace internal {
int ParseAnyAddress(const sockaddr* address, socklen_t length, int family, bool v4_too,
                    wire::Endpoint& endpoint);
void StoreAnyAddress(const wire::Endpoint& endpoint, int family, sockaddr* address,
                     socklen_t* length);
}  // namespace internal

// Reads an address for a socket of `family`. Returns 0 or EINVAL, EAFNOSUPPORT, EFAULT, as Linux
// does. IPv4 addresses are accepted for IPv6 sockets only in their mapped form, or if `v4_too`.
inline int ParseAddress(const sockaddr* address, socklen_t length, int family, bool v4_too,
                        wire::Endpoint& endpoint) {
  if (family != AF_INET || address == nullptr || length < sizeof(sockaddr_in) ||
      address->sa_family != AF_INET) [[unlikely]] {
    return internal::ParseAnyAddress(address, length, family, v4_too, endpoint);
  }
  sockaddr_in in;
  std::memcpy(&in, address, sizeof(in));
  // In whole words, which are what addresses are compared by.
  const std::array<uint64_t, 2> mapped{0, uint64_t{in.sin_addr.s_addr} << 32 | 0xffff0000};
  endpoint.address = std::bit_cast<wire::IpAddress>(mapped);
  endpoint.port = __builtin_bswap16(in.sin_port);
  endpoint.scope = 0;
  return 0;
}

// Writes an endpoint as an address of `family`: as much as *length allows, which then tells the
// address's true size. Nothing happens if `address` is null.
inline void StoreAddress(const wire::Endpoint& endpoint, int family, sockaddr* address,
                         socklen_t* length) {
  if (family != AF_INET || address == nullptr || length == nullptr ||
      *length < sizeof(sockaddr_in) || !endpoint.address.is_v4()) [[unlikely]] {
    return internal::StoreAnyAddress(endpoint, family, address, length);
  }
  uint32_t host;
  std::memcpy(&host, endpoint.address.v4_bytes(), sizeof(host));
  const uint64_t words[2] = {
      uint64_t{host} << 32 | uint32_t{__builtin_bswap16(endpoint.port)} << 16 | AF_INET, 0};
  static_assert(sizeof(words) == sizeof(sockaddr_in) && sizeof(sa_family_t) == 2);
  std::memcpy(address, words, sizeof(words));
  *length = sizeof(sockaddr_in);
}

// Where a socket of `family` is bound that was not told: the unspecified address, port 0.
inline wire::Endpoint AnyEndpoint(int family) {
  return {family == AF_INET ? wire::IpAddress::AnyV4() : wire::IpAddress::AnyV6(), 0, 0};
}

// Where packets to an address go: Linux takes the unspecified address for loopback.
wire::IpAddress DestinationOf(const wire::IpAddress& address);

// Whether an address stays with the kernel; an unspecified one means loopback when connecting.
bool BelongsToKernel(const wire::IpAddress& address, bool connecting);

}  // namespace sluice::api
