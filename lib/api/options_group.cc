// Multicast groups: joining, leaving and filtering, in the old forms of each family and in the
// forms of RFC 3678 that both share.
#include <netinet/in.h>

#include "api/address.h"
#include "api/ask.h"
#include "api/errors.h"
#include "api/interfaces.h"
#include "api/options.h"
#include "api/twins.h"

namespace sluice::api {
namespace {

using table::Operation;
using table::SourceOperation;
using wire::IpAddress;

// What is sent to a group comes to any engine: the socket is a member on each.
table::Result AskEverywhere(const OpenSocket& socket, const table::Command& command) {
  if (state.lanes > 1) {
    LockHolder holder(socket.entry->send_lock);
    if (!socket.IsOpen()) return table::Result::kBadHandle;
    const table::Result made = MakeTwins(socket);
    if (made != table::Result::kOk) return made;
  }
  return AskAll(socket, command);
}

int Member(const OpenSocket& socket, Operation operation, const IpAddress& group, uint16_t index) {
  if (!group.is_multicast()) return EINVAL;
  if (socket.is_stream()) return EPROTO;
  return ErrnoOf(AskEverywhere(
      socket,
      {.operation = operation, .local = {IpAddress(), 0, index}, .remote = {group, 0, index}}));
}

int Filter(const OpenSocket& socket, SourceOperation operation, const IpAddress& group,
           const IpAddress& source, uint16_t index) {
  if (!group.is_multicast() || group.is_v4() != source.is_v4()) return EINVAL;
  if (socket.is_stream()) return EPROTO;
  return ErrnoOf(AskEverywhere(socket, {.operation = Operation::kSourceFilter,
                                        .argument = static_cast<uint32_t>(operation),
                                        .local = {source, 0, index},
                                        .remote = {group, 0, index}}));
}

// The interface that an address names; the unspecified address leaves the choice.
int InterfaceOf(const OpenSocket& socket, const in_addr& address, uint16_t& index) {
  index = 0;
  if (address.s_addr == INADDR_ANY) return 0;
  index = InterfaceWithAddress(socket, IpAddress::FromV4Bytes(&address));
  return index == 0 ? ENODEV : 0;
}

int MemberV4(const OpenSocket& socket, Operation operation, OptionInput input) {
  ip_mreqn request{};
  if (input.value == nullptr) return EFAULT;
  if (input.length < sizeof(ip_mreq)) return EINVAL;
  std::memcpy(&request, input.value, std::min<size_t>(input.length, sizeof(request)));
  uint16_t index = static_cast<uint16_t>(request.imr_ifindex);
  if (index == 0) {
    if (int error = InterfaceOf(socket, request.imr_address, index)) return error;
  }
  return Member(socket, operation, IpAddress::FromV4Bytes(&request.imr_multiaddr), index);
}

int FilterV4(const OpenSocket& socket, SourceOperation operation, OptionInput input) {
  ip_mreq_source request;
  if (int error = input.Get(request)) return error;
  uint16_t index;
  if (int error = InterfaceOf(socket, request.imr_interface, index)) return error;
  return Filter(socket, operation, IpAddress::FromV4Bytes(&request.imr_multiaddr),
                IpAddress::FromV4Bytes(&request.imr_sourceaddr), index);
}

int AddressOf(const sockaddr_storage& storage, int family, IpAddress& address) {
  if (storage.ss_family != family) return EADDRNOTAVAIL;
  wire::Endpoint endpoint;
  const int error = ParseAddress(reinterpret_cast<const sockaddr*>(&storage), sizeof(storage),
                                 family, false, endpoint);
  address = endpoint.address;
  return error;
}

int GroupRequest(const OpenSocket& socket, Operation operation, int family, OptionInput input) {
  group_req request;
  if (int error = input.Get(request)) return error;
  IpAddress group;
  if (int error = AddressOf(request.gr_group, family, group)) return error;
  return Member(socket, operation, group, static_cast<uint16_t>(request.gr_interface));
}

int SourceRequest(const OpenSocket& socket, SourceOperation operation, int family,
                  OptionInput input) {
  group_source_req request;
  if (int error = input.Get(request)) return error;
  IpAddress group, source;
  if (int error = AddressOf(request.gsr_group, family, group)) return error;
  if (int error = AddressOf(request.gsr_source, family, source)) return error;
  return Filter(socket, operation, group, source, static_cast<uint16_t>(request.gsr_interface));
}

// The forms that both levels share (RFC 3678 section 5).
int SetSharedForm(const OpenSocket& socket, int name, int family, OptionInput input) {
  switch (name) {
    case MCAST_JOIN_GROUP:
      return GroupRequest(socket, Operation::kJoinGroup, family, input);
    case MCAST_LEAVE_GROUP:
      return GroupRequest(socket, Operation::kLeaveGroup, family, input);
    case MCAST_JOIN_SOURCE_GROUP:
      return SourceRequest(socket, SourceOperation::kJoin, family, input);
    case MCAST_LEAVE_SOURCE_GROUP:
      return SourceRequest(socket, SourceOperation::kLeave, family, input);
    case MCAST_BLOCK_SOURCE:
      return SourceRequest(socket, SourceOperation::kBlock, family, input);
    case MCAST_UNBLOCK_SOURCE:
      return SourceRequest(socket, SourceOperation::kUnblock, family, input);
    default:
      return ENOPROTOOPT;
  }
}

}  // namespace

int SetIpMembership(const OpenSocket& socket, int name, OptionInput input) {
  switch (name) {
    case IP_ADD_MEMBERSHIP:
      return MemberV4(socket, Operation::kJoinGroup, input);
    case IP_DROP_MEMBERSHIP:
      return MemberV4(socket, Operation::kLeaveGroup, input);
    case IP_ADD_SOURCE_MEMBERSHIP:
      return FilterV4(socket, SourceOperation::kJoin, input);
    case IP_DROP_SOURCE_MEMBERSHIP:
      return FilterV4(socket, SourceOperation::kLeave, input);
    case IP_BLOCK_SOURCE:
      return FilterV4(socket, SourceOperation::kBlock, input);
    case IP_UNBLOCK_SOURCE:
      return FilterV4(socket, SourceOperation::kUnblock, input);
    default:
      return SetSharedForm(socket, name, AF_INET, input);
  }
}

int SetIpv6Membership(const OpenSocket& socket, int name, OptionInput input) {
  if (name != IPV6_ADD_MEMBERSHIP && name != IPV6_DROP_MEMBERSHIP) {
    return SetSharedForm(socket, name, AF_INET6, input);
  }
  ipv6_mreq request;
  if (int error = input.Get(request)) return error;
  const Operation operation =
      name == IPV6_ADD_MEMBERSHIP ? Operation::kJoinGroup : Operation::kLeaveGroup;
  return Member(socket, operation, IpAddress::FromV6Bytes(&request.ipv6mr_multiaddr),
                static_cast<uint16_t>(request.ipv6mr_interface));
}

}  // namespace sluice::api
