#include "fake_engine.h"

#include <arpa/inet.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>

#include "api/descriptors.h"
#include "api/kernel.h"
#include "api/socket_calls.h"
#include "api/twins.h"

namespace sluice::api {

using table::Operation;
using table::Reply;
using table::Result;
using table::Status;

namespace {

const wire::Endpoint kPeer{wire::IpAddress::V4(192, 0, 2, 9), 5000, 0};
const wire::Endpoint kHere{wire::IpAddress::V4(192, 0, 2, 1), 80, 0};

// For any thread, where Catch2's own checks are for one.
void Must(bool condition) {
  if (!condition) std::abort();
}

std::unique_ptr<void, decltype(&std::free)> Zeroed(size_t bytes) {
  bytes = (bytes + 127) / 128 * 128;
  void* memory = std::aligned_alloc(128, bytes);
  std::memset(memory, 0, bytes);
  return {memory, &std::free};
}

// A view of a fresh region in which received packets can be named where they are.
table::Region Shared(void* memory, const table::RegionLimits& limits, const void* anchor) {
  table::Region region = table::Region::Format(memory, limits);
  region.ShareMbufs(anchor);
  return region;
}

}  // namespace

FakeEngine::FakeEngine(const table::RegionLimits& limits, std::vector<wire::Prefix> prefixes,
                       bool own_numbers)
    : memory_(Zeroed(table::Region::BytesNeeded(limits))),
      pool_(256),
      region_(Shared(memory_.get(), limits, pool_.get())) {
  for (uint32_t lane = 0; lane < limits.lanes; ++lane) {
    tables_.push_back(std::make_unique<table::SocketTable>(region_, static_cast<uint8_t>(lane)));
  }
  Must(Install({.region = region_,
                .home = this,
                .kernel_prefixes = std::move(prefixes),
                .own_numbers = own_numbers}));
}

FakeEngine::~FakeEngine() {
  if (is_threaded_) {
    // Closing needs the engine: it goes last.
    Uninstall();
    Stop();
  } else {
    Uninstall();
    RunOnce();
  }
}

void FakeEngine::RunOnce() {
  std::lock_guard guard(mutex_);
  for (uint32_t lane = 0; lane < tables_.size(); ++lane) {
    table::Command command;
    while (region_.commands(lane).Pop(command, table::Region::kCommandMask)) Obey(lane, command);
    tables_[lane]->SweepIdle(64);
    uint32_t index;
    while (region_.doorbells(lane).Pop(index, region_.slot_queue_mask())) {
      table::Socket socket = tables_[lane]->At(index);
      region_.entry(index).doorbell_pending.Exchange(0);
      if (socket) socket.receive_queue().Reclaim();
    }
  }
}

void FakeEngine::Turn() {
  ++turns;
  if (!is_threaded_) RunOnce();
}

WaitOutcome FakeEngine::Wait(Waiter& waiter, const WaitRequest& request) {
  ++waits;
  const auto has_news = [&] {
    uint32_t notices = 0;
    for (uint32_t lane = 0; lane < tables_.size(); ++lane) {
      notices += region_.lane(lane).notices.Acquire();
    }
    return waiter.signaled.Acquire() != 0 || notices != request.notices_seen;
  };
  const auto kernel_is_ready = [&] {
    if (request.kernel_descriptor < 0) return false;
    const short events = request.kernel_events != 0 ? request.kernel_events : short{POLLIN};
    pollfd descriptor{request.kernel_descriptor, events, 0};
    const timespec now{};
    return kernel::Poll(&descriptor, 1, &now) > 0;
  };
  for (;;) {
    if (!is_threaded_) RunOnce();
    if (has_news()) return WaitOutcome::kLook;
    if (kernel_is_ready()) return WaitOutcome::kKernelReady;
    if (is_threaded_) {
      std::this_thread::yield();
      continue;
    }
    if (interrupt_next_wait) {
      interrupt_next_wait = false;
      return WaitOutcome::kInterrupted;
    }
    if (when_idle && idle_runs > 0) {
      --idle_runs;
      when_idle();
      continue;
    }
    if (request.deadline.is_never()) FAIL("a call waits for what will never come");
    now_ns_ = std::max(now_ns_.load(), request.deadline.nanoseconds());
    return WaitOutcome::kDeadline;
  }
}

void FakeEngine::Obey(uint32_t lane, const table::Command& command) {
  operations.push_back(command.operation);
  commands.push_back(command);
  Reply* reply = command.reply == table::kNoReply ? nullptr : &region_.replies(lane)[command.reply];
  if (reply != nullptr) {
    reply->value.store(0);
    reply->length.store(0);
  }
  const Result result = Perform(lane, command, reply);
  if (reply == nullptr) return;
  reply->result.store(result);
  reply->state.Release(Reply::kDone);
  region_.lane(lane).notices.Add(1);
}

Result FakeEngine::Perform(uint32_t lane, const table::Command& command, Reply* reply) {
  table::SocketTable& table = *tables_[lane];
  if (command.operation == Operation::kOpen) {
    table::Handle handle =
        table.Open(static_cast<table::Type>(command.argument & 0xff),
                   static_cast<uint8_t>(command.argument >> 8),
                   static_cast<uint8_t>(command.argument >> 16), Status::kUnconnected);
    if (handle.is_none()) return Result::kNoSockets;
    reply->value.store(handle.bits());
    return Result::kOk;
  }
  if (command.operation == Operation::kInterfaces) {
    const size_t first = command.argument;
    const size_t fits = sizeof(reply->payload) / sizeof(table::InterfaceRecord);
    const size_t count = std::min(fits, interfaces.size() - std::min(first, interfaces.size()));
    for (size_t i = 0; i < count; ++i) {
      interfaces[first + i].remaining = static_cast<uint16_t>(interfaces.size() - first - i - 1);
    }
    std::memcpy(reply->payload, interfaces.data() + first, count * sizeof(table::InterfaceRecord));
    reply->length.store(static_cast<uint32_t>(count * sizeof(table::InterfaceRecord)));
    return Result::kOk;
  }
  table::Socket socket = table.Find(command.handle);
  if (!socket) return Result::kBadHandle;
  table::Entry& entry = socket.entry();
  switch (command.operation) {
    case Operation::kBind:
      return PerformBind(lane, command, socket);
    case Operation::kUnbind:
      if (socket.status() != Status::kBound) return Result::kInvalid;
      entry.local.Store({});
      socket.SetStatus(Status::kUnconnected);
      return Result::kOk;
    case Operation::kListen:
      socket.SetStatus(Status::kListening);
      return Result::kOk;
    case Operation::kConnect:
      return PerformConnect(lane, command, socket, reply);
    case Operation::kDisconnect:
      entry.remote.Store({});
      entry.engine_flags.ClearBits(table::kEndOfStream | table::kSendClosed);
      socket.SetStatus(Status::kBound);
      return Result::kOk;
    case Operation::kShutdown:
      return Shut(socket, command.argument);
    case Operation::kClose:
      table.Close(socket);
      return Result::kOk;
    case Operation::kInformation:
      reply->length.store(sizeof(information));
      std::memcpy(reply->payload, &information, sizeof(information));
      return Result::kOk;
    case Operation::kPathMtu:
      reply->value.store(1400);
      return Result::kOk;
    default:
      return Result::kOk;
  }
}

Result FakeEngine::PerformBind(uint32_t lane, const table::Command& command, table::Socket socket) {
  wire::Endpoint local = command.local;
  if (local.port == 1) return Result::kAddressInUse;
  if (static_cast<int>(lane) == port_taken_lane) {
    port_taken_lane = -1;
    return Result::kAddressInUse;
  }
  const bool later =
      command.argument == 0 && socket.entry().options.is_set(table::kBindAddressNoPort);
  if (local.port == 0 && !later) local.port = next_port_++;
  socket.entry().local.Store(local);
  socket.SetStatus(Status::kBound);
  return Result::kOk;
}

Result FakeEngine::PerformConnect(uint32_t lane, const table::Command& command,
                                  table::Socket socket, Reply* reply) {
  table::Entry& entry = socket.entry();
  if (entry.type.load() == table::Type::kStream && socket.status() == Status::kBound &&
      flows_lane >= 0 && static_cast<int>(lane) != flows_lane) {
    reply->value.store(static_cast<uint64_t>(flows_lane));
    return Result::kElsewhere;
  }
  entry.remote.Store(command.remote);
  if (entry.type.load() == table::Type::kDatagram) {
    wire::Endpoint local = entry.local.Load();
    if (local.port == 0) local.port = command.local.port;
    if (local.port == 0) local.port = next_port_++;
    entry.local.Store(local);
    socket.SetStatus(Status::kConnected);
    return Result::kOk;
  }
  socket.SetStatus(Status::kConnecting);
  if (accept_connects) {
    socket.SetStatus(Status::kConnected);
    socket.Notify(table::kEventOut);
  }
  return Result::kInProgress;
}

Result FakeEngine::Shut(table::Socket socket, uint32_t how) {
  if (socket.status() == Status::kListening) {
    socket.SetStatus(Status::kBound);
  } else if (how != SHUT_RD) {
    socket.entry().engine_flags.SetBits(table::kSendClosed);
    if (socket.status() == Status::kConnected) socket.SetStatus(Status::kShutdown);
  }
  return Result::kOk;
}

rte_mbuf* FakeEngine::Packet(std::string_view bytes) {
  rte_mbuf* packet = rte_pktmbuf_alloc(pool_.get());
  Must(packet != nullptr);
  char* data = rte_pktmbuf_append(packet, static_cast<uint16_t>(bytes.size()));
  Must(data != nullptr);
  if (!bytes.empty()) std::memcpy(data, bytes.data(), bytes.size());
  return packet;
}

table::Socket FakeEngine::At(int fd) {
  const table::Handle handle = DescriptorHandle(fd);
  return tables_[region_.entry(handle.index).engine.load()]->Find(handle);
}

table::Socket FakeEngine::At(int fd, int lane) {
  const OpenSocket socket = SocketNamed(DescriptorHandle(fd));
  if (lane < 0 || socket.entry->engine.load() == lane) return At(fd);
  table::Socket found;
  ForEachTwin(socket, [&](const OpenSocket& twin) {
    if (twin.entry->engine.load() == lane) found = tables_[lane]->Find(twin.handle);
  });
  return found;
}

uint32_t FakeEngine::open_sockets() const {
  uint32_t open = 0;
  for (const auto& table : tables_) open += table->open_sockets();
  return open;
}

table::Entry& FakeEngine::EntryOf(int fd) { return region_.entry(DescriptorHandle(fd).index); }

int FakeEngine::ConnectedStream(int family) {
  const int fd = Socket(family, SOCK_STREAM, 0);
  Must(fd >= 0);
  const sockaddr_in v4 = V4("192.0.2.9", 5000);
  const sockaddr_in6 v6 = V6("2001:db8::9", 5000);
  Must((family == AF_INET ? Connect(fd, Generic(v4), sizeof(v4))
                          : Connect(fd, Generic(v6), sizeof(v6))) == 0);
  return fd;
}

int FakeEngine::Listener() {
  const int fd = Socket(AF_INET, SOCK_STREAM, 0);
  Must(fd >= 0);
  const sockaddr_in here = V4("192.0.2.1", 80);
  Must(Bind(fd, Generic(here), sizeof(here)) == 0);
  Must(Listen(fd, 16) == 0);
  return fd;
}

int FakeEngine::BoundDatagram(int family) {
  const int fd = Socket(family, SOCK_DGRAM, 0);
  Must(fd >= 0);
  const sockaddr_in v4 = V4("192.0.2.1", 53);
  const sockaddr_in6 v6 = V6("2001:db8::1", 53);
  Must((family == AF_INET ? Bind(fd, Generic(v4), sizeof(v4))
                          : Bind(fd, Generic(v6), sizeof(v6))) == 0);
  return fd;
}

void FakeEngine::Deliver(int fd, std::string_view bytes) {
  table::Socket socket = At(fd);
  Must(socket.receive_queue().Push(Packet(bytes), false));
  socket.Notify(table::kEventIn);
}

void FakeEngine::DeliverDatagram(int fd, std::string_view bytes,
                                 const table::DatagramHeader& header, int lane) {
  table::Socket socket = At(fd, lane);
  Must(socket.receive_queue().PushDatagram(header, Packet(bytes), false));
  socket.Notify(table::kEventIn);
}

void FakeEngine::DeliverError(int fd, std::string_view bytes, const table::DatagramHeader& header) {
  table::Socket socket = At(fd);
  Must(socket.OpenThirdQueue());
  Must(socket.error_queue().PushDatagram(header, Packet(bytes), false));
  socket.Notify(table::kEventErr);
}

void FakeEngine::EndStream(int fd) {
  table::Socket socket = At(fd);
  socket.entry().engine_flags.SetBits(table::kEndOfStream);
  if (socket.status() == Status::kConnected) socket.SetStatus(Status::kShutdown);
  socket.Notify(table::kEventIn | table::kEventRdHup);
}

void FakeEngine::Reset(int fd, Result error) {
  table::Socket socket = At(fd);
  socket.entry().engine_flags.SetBits(table::kEndOfStream | table::kSendClosed);
  socket.SetStatus(Status::kDisconnected);
  socket.SetError(error);
}

void FakeEngine::Establish(int fd) {
  table::Socket socket = At(fd);
  socket.SetStatus(Status::kConnected);
  socket.Notify(table::kEventOut);
}

void FakeEngine::Refuse(int fd) {
  table::Socket socket = At(fd);
  socket.SetStatus(Status::kDisconnected);
  socket.SetError(Result::kRefused);
}

table::Handle FakeEngine::Arrive(int listener, int lane) {
  table::Socket socket = At(listener, lane);
  table::SocketTable& table = *tables_[socket.entry().engine.load()];
  table::Handle handle = table.Open(table::Type::kStream, IPPROTO_TCP, AF_INET, Status::kConnected);
  Must(!handle.is_none());
  table::Entry& entry = region_.entry(handle.index);
  entry.local.Store(kHere);
  entry.remote.Store(kPeer);
  Must(socket.OpenThirdQueue());
  Must(socket.connection_queue().Push(handle));
  socket.Notify(table::kEventIn);
  return handle;
}

void FakeEngine::SetUrgent(int fd, uint32_t position) {
  table::Socket socket = At(fd);
  socket.entry().urgent_position.store(position);
  socket.entry().engine_flags.SetBits(table::kUrgentPending);
  socket.Notify(table::kEventPri);
}

std::string FakeEngine::TakeSent(int fd) {
  table::Socket socket = At(fd);
  table::SendQueue queue = socket.send_queue();
  std::string taken;
  const uint32_t bytes = queue.bytes();
  Must(queue.Read(0, bytes, [&taken](std::span<const uint8_t> piece) {
    taken.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  }));
  queue.Release(bytes);
  if (socket.entry().application_flags.load() & table::kSendBlocked) {
    socket.Notify(table::kEventOut);
  }
  return taken;
}

std::vector<FakeEngine::SentDatagram> FakeEngine::TakeSentDatagrams(int fd) {
  table::Socket socket = At(fd);
  std::vector<SentDatagram> sent;
  for (;;) {
    SentDatagram datagram;
    uint32_t length;
    table::SendQueue queue = socket.send_queue();
    if (!queue.ReadDatagram(datagram.header, length, [&](std::span<const uint8_t> piece) {
          datagram.bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
        })) {
      break;
    }
    queue.PopDatagram();
    sent.push_back(datagram);
  }
  if (socket.entry().application_flags.load() & table::kSendBlocked) {
    socket.Notify(table::kEventOut);
  }
  return sent;
}

void FakeEngine::Start() {
  is_threaded_ = true;
  thread_ = std::thread([this] {
    while (!stop_) {
      RunOnce();
      std::this_thread::yield();
    }
    RunOnce();
  });
}

void FakeEngine::Stop() {
  stop_ = true;
  thread_.join();
  is_threaded_ = false;
}

sockaddr_in V4(const char* address, uint16_t port) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  inet_pton(AF_INET, address, &in.sin_addr);
  return in;
}

sockaddr_in6 V6(const char* address, uint16_t port) {
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(port);
  inet_pton(AF_INET6, address, &in.sin6_addr);
  return in;
}

}  // namespace sluice::api
