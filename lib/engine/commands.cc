// What the application asks for beside moving data. A command comes from a region, where anybody
// may have written it: every number in it is checked here or by the one who uses it.
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "engine/engine.h"

namespace sluice::engine {

using table::Command;
using table::Handle;
using table::Operation;
using table::Reply;
using table::Result;
using table::Socket;
using table::Status;
using table::Type;

unsigned Engine::TakeCommands(Instant now) {
  unsigned taken = 0;
  Command command;
  while (taken < config_.commands_per_turn &&
         region_.commands(lane_).Pop(command, table::Region::kCommandMask)) {
    ++taken;
    Execute(now, command);
  }
  counters_.Commands += taken;
  return taken;
}

void Engine::Execute(Instant now, const Command& command) {
  Reply* reply = nullptr;
  if (command.reply < table::kReplySlots) {
    reply = &region_.replies(lane_)[command.reply];
    reply->length.store(0);
    reply->value.store(0);
  }
  const Result result = Run(now, command, reply);
  if (result == Result::kInvalid) ++counters_.CommandsInvalid;
  if (reply == nullptr) return;
  reply->result.store(result);
  reply->state.Release(Reply::kDone);  // pairs with the application's look at it
  // A full fence on this side of the application's "nobody answered, I sleep".
  region_.lane(lane_).notices.Add(1);
}

Result Engine::Run(Instant now, const Command& command, Reply* reply) {
  switch (command.operation) {
    case Operation::kNone:
      return Result::kInvalid;
    case Operation::kOpen:
      return Open(command.argument, reply);
    case Operation::kInterfaces:
      return ListInterfaces(command.argument, reply);
    default:
      break;
  }
  const Socket socket = table_.Find(command.handle);
  if (!socket) {
    ++counters_.CommandsStale;
    return Result::kBadHandle;
  }
  return RunOnSocket(now, command, socket, reply);
}

Result Engine::RunOnSocket(Instant now, const Command& command, Socket socket, Reply* reply) {
  const bool datagram = udp::Stack::Owns(socket);
  if (command.operation == Operation::kInformation) return Describe(now, socket, reply);
  if (command.operation == Operation::kPathMtu) {
    const uint16_t mtu = datagram ? udp_.PathMtu(now, socket) : tcp_.PathMtu(socket);
    if (mtu == 0) return Result::kNotConnected;
    if (reply != nullptr) reply->value.store(mtu);
    return Result::kOk;
  }
  return datagram ? RunOnDatagram(now, command, socket) : RunOnStream(now, command, socket, reply);
}

Result Engine::RunOnDatagram(Instant now, const Command& command, Socket socket) {
  switch (command.operation) {
    case Operation::kBind:
      return udp_.Bind(now, socket, command.local, command.argument != 0);
    case Operation::kUnbind:
      return udp_.Unbind(now, socket);
    case Operation::kConnect:
      return udp_.Connect(now, socket, command.remote, command.local.port);
    case Operation::kDisconnect:
      return udp_.Disconnect(now, socket);
    case Operation::kShutdown:
      return udp_.Shutdown(now, socket, command.argument);
    case Operation::kClose:
      udp_.Close(now, socket);
      return Result::kOk;
    case Operation::kOptions:
      udp_.OptionsChanged(socket);
      return Result::kOk;
    case Operation::kJoinGroup:
      return udp_.JoinGroup(now, socket, command.local.scope, command.remote.address);
    case Operation::kLeaveGroup:
      return udp_.LeaveGroup(now, socket, command.local.scope, command.remote.address);
    case Operation::kSourceFilter:
      if (command.argument > static_cast<uint32_t>(table::SourceOperation::kUnblock)) break;
      return udp_.SourceFilter(now, socket, command.local.scope, command.remote.address,
                               command.local.address,
                               static_cast<table::SourceOperation>(command.argument));
    case Operation::kListen:
      return Result::kNotSupported;
    default:
      break;
  }
  return Result::kInvalid;
}

Result Engine::RunOnStream(Instant now, const Command& command, Socket socket, Reply* reply) {
  switch (command.operation) {
    case Operation::kBind:
      return tcp_.Bind(now, socket, command.local, command.argument != 0);
    case Operation::kUnbind:
      return tcp_.Unbind(now, socket);
    case Operation::kListen:
      return tcp_.Listen(now, socket, command.argument);
    case Operation::kConnect: {
      uint8_t owner = lane_;
      const Result result = tcp_.Connect(now, socket, command.remote, &owner);
      if (result == Result::kElsewhere && reply != nullptr) reply->value.store(owner);
      return result;
    }
    case Operation::kShutdown:
      return tcp_.Shutdown(now, socket, command.argument);
    case Operation::kClose:
      tcp_.Close(now, socket);
      return Result::kOk;
    case Operation::kOptions:
      tcp_.OptionsChanged(now, socket);
      return Result::kOk;
    case Operation::kDisconnect:
      return tcp_.Disconnect(now, socket);
    case Operation::kJoinGroup:
    case Operation::kLeaveGroup:
    case Operation::kSourceFilter:
      return Result::kNotSupported;
    default:
      break;
  }
  return Result::kInvalid;
}

Result Engine::Open(uint32_t argument, Reply* reply) {
  if (reply == nullptr) return Result::kInvalid;  // nobody would ever close it
  const uint8_t type = static_cast<uint8_t>(argument);
  uint8_t protocol = static_cast<uint8_t>(argument >> 8);
  const uint8_t family = static_cast<uint8_t>(argument >> 16);
  if (family != AF_INET && family != AF_INET6) return Result::kAddressFamily;
  const bool stream = type == static_cast<uint8_t>(Type::kStream);
  const bool datagram = type == static_cast<uint8_t>(Type::kDatagram);
  if (!stream && !datagram) return Result::kNotSupported;
  const uint8_t expected = stream ? IPPROTO_TCP : IPPROTO_UDP;
  if (protocol == 0) protocol = expected;
  if (protocol != expected) return Result::kNotSupported;
  const Handle handle =
      table_.Open(static_cast<Type>(type), protocol, family, Status::kUnconnected);
  if (handle.is_none()) return Result::kNoSockets;
  if (datagram) {
    const Socket socket = table_.Find(handle);
    const Result opened = udp_.Open(socket);
    if (opened != Result::kOk) {
      table_.Close(socket);
      return opened;
    }
  }
  reply->value.store(handle.bits());
  return Result::kOk;
}

Result Engine::Describe(Instant now, Socket socket, Reply* reply) {
  static_assert(sizeof(table::TcpInformation) <= sizeof(Reply::payload));
  if (udp::Stack::Owns(socket)) return Result::kNotSupported;
  table::TcpInformation information;
  if (!tcp_.Information(now, socket, &information)) {
    information = {};
    information.state = 7;  // TCP_CLOSE
  }
  if (reply != nullptr) {
    std::memcpy(reply->payload, &information, sizeof(information));
    reply->length.store(sizeof(information));
  }
  return Result::kOk;
}

// One record for each address, one for an interface without any.
Result Engine::ListInterfaces(uint32_t first, Reply* reply) {
  if (reply == nullptr) return Result::kInvalid;
  constexpr size_t kRecordsMax = sizeof(Reply::payload) / sizeof(table::InterfaceRecord);
  table::InterfaceRecord records[kRecordsMax];
  uint32_t position = 0, count = 0;
  const auto add = [&](const table::InterfaceRecord& record) {
    if (position++ >= first && count < kRecordsMax) records[count++] = record;
  };
  for (uint16_t i = 1; i <= ip_.interface_count(); ++i) {
    const ip::InterfaceView view = ip_.DescribeInterface(i);
    table::InterfaceRecord record;
    view.name.copy(record.name, sizeof(record.name) - 1);
    record.index = view.index;
    record.mtu = view.mtu;
    record.mac = view.mac;
    record.flags = IFF_UP | IFF_MULTICAST;
    if (view.up) record.flags |= IFF_RUNNING;
    if (view.index == ip::kLoopbackInterface) record.flags |= IFF_LOOPBACK;
    if (view.link == ip::LinkLayer::kEthernet && view.index != ip::kLoopbackInterface) {
      record.flags |= IFF_BROADCAST;
    }
    for (const ip::AddressView& address : view.addresses) {
      record.address = address.prefix.address;
      record.prefix_length = static_cast<uint16_t>(address.prefix.length);
      add(record);
    }
    if (view.addresses.empty()) add(record);
  }
  for (uint32_t i = 0; i < count; ++i) {
    records[i].remaining = static_cast<uint16_t>(position - first - i - 1);
  }
  std::memcpy(reply->payload, records, count * sizeof(records[0]));
  reply->length.store(static_cast<uint32_t>(count * sizeof(records[0])));
  reply->value.store(count);
  return Result::kOk;
}

}  // namespace sluice::engine
