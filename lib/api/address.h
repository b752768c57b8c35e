// sockaddr in and out.
#pragma once

#include <sys/socket.h>

#include "api/descriptors.h"
#include "wire/address.h"

namespace sluice::api {

// Reads an address for a socket of `family`. Returns 0 or EINVAL, EAFNOSUPPORT, EFAULT, as Linux
// does. IPv4 addresses are accepted for IPv6 sockets only in their mapped form, or if `v4_too`.
int ParseAddress(const sockaddr* address, socklen_t length, int family, bool v4_too,
                 wire::Endpoint& endpoint);

// Writes an endpoint as an address of `family`: as much as *length allows, which then tells the
// address's true size. Nothing happens if `address` is null.
void StoreAddress(const wire::Endpoint& endpoint, int family, sockaddr* address, socklen_t* length);

// Where a socket of `family` is bound that was not told: the unspecified address, port 0.
inline wire::Endpoint AnyEndpoint(int family) {
  return {family == AF_INET ? wire::IpAddress::AnyV4() : wire::IpAddress::AnyV6(), 0, 0};
}

// Where packets to an address go: Linux takes the unspecified address for loopback.
wire::IpAddress DestinationOf(const wire::IpAddress& address);

// Whether an address stays with the kernel; an unspecified one means loopback when connecting.
bool BelongsToKernel(const wire::IpAddress& address, bool connecting);

}  // namespace sluice::api
