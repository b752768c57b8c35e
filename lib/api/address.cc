#include "api/address.h"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "api/socket_calls.h"

namespace sluice::api {
namespace {

using wire::Endpoint;
using wire::IpAddress;

// sockaddr_in6 without sin6_scope_id, as in RFC 2133: Linux still takes it.
constexpr socklen_t kShortestV6 = 24;

Endpoint FromV4(const sockaddr* address) {
  sockaddr_in in;
  std::memcpy(&in, address, sizeof(in));
  return {IpAddress::FromV4Bytes(&in.sin_addr), ntohs(in.sin_port), 0};
}

}  // namespace

int internal::ParseAnyAddress(const sockaddr* address, socklen_t length, int family, bool v4_too,
                              Endpoint& endpoint) {
  if (address == nullptr) return EFAULT;
  if (length < sizeof(address->sa_family)) return EINVAL;
  if (family == AF_INET || (v4_too && address->sa_family == AF_INET)) {
    if (length < sizeof(sockaddr_in)) return EINVAL;
    // Linux lets AF_UNSPEC stand for AF_INET with the unspecified address.
    if (address->sa_family != AF_INET && address->sa_family != AF_UNSPEC) return EAFNOSUPPORT;
    endpoint = FromV4(address);
    if (address->sa_family == AF_UNSPEC && !endpoint.address.is_unspecified()) return EAFNOSUPPORT;
    return 0;
  }
  if (length < kShortestV6) return EINVAL;
  if (address->sa_family != AF_INET6) return EAFNOSUPPORT;
  sockaddr_in6 in{};
  std::memcpy(&in, address, std::min<size_t>(length, sizeof(in)));
  endpoint = {IpAddress::FromV6Bytes(&in.sin6_addr), ntohs(in.sin6_port), 0};
  if (endpoint.address.is_link_local() || endpoint.address.is_multicast()) {
    endpoint.scope = static_cast<uint16_t>(in.sin6_scope_id);
  }
  return 0;
}

void internal::StoreAnyAddress(const Endpoint& endpoint, int family, sockaddr* address,
                               socklen_t* length) {
  if (address == nullptr || length == nullptr) return;
  if (family == AF_INET) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(endpoint.port);
    if (endpoint.address.is_v4()) std::memcpy(&in.sin_addr, endpoint.address.v4_bytes(), 4);
    std::memcpy(address, &in, std::min<size_t>(*length, sizeof(in)));
    *length = sizeof(in);
    return;
  }
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(endpoint.port);
  if (!endpoint.address.is_unspecified()) {
    std::memcpy(&in.sin6_addr, endpoint.address.bytes().data(), 16);
  }
  if (endpoint.address.is_v6() && endpoint.address.is_link_local()) {
    in.sin6_scope_id = endpoint.scope;
  }
  std::memcpy(address, &in, std::min<size_t>(*length, sizeof(in)));
  *length = sizeof(in);
}

IpAddress DestinationOf(const IpAddress& address) {
  if (!address.is_unspecified()) return address;
  return address.is_v4() ? IpAddress::V4(127, 0, 0, 1)
                         : IpAddress::V6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
}

bool BelongsToKernel(const IpAddress& address, bool connecting) {
  if (address.is_unspecified() && !connecting) return false;
  const IpAddress looked = DestinationOf(address);
  return std::any_of(
      state.kernel_prefixes.begin(), state.kernel_prefixes.end(),
      [&looked](const wire::Prefix& p) { return looked.HasPrefix(p.address, p.length); });
}

bool IsKernelAddress(const sockaddr* address, socklen_t length) {
  Endpoint endpoint;
  if (address == nullptr || length < sizeof(address->sa_family)) return false;
  return ParseAddress(address, length, address->sa_family, true, endpoint) == 0 &&
         BelongsToKernel(endpoint.address, true);
}

}  // namespace sluice::api
