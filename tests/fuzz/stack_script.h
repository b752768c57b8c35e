// The stack fuzzer's input as a script: each operation is a byte and its arguments, which are read
// as they are needed. Calls of the API name one of eight descriptors, frames one of the peer's
// connections or of the engine's sockets.
#pragma once

#include <sluice/sluice.h>

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "reader.h"
#include "stack_world.h"

namespace sluice::fuzz {

class Script {
 public:
  explicit Script(wire::ConstBytes input);
  ~Script();
  void Run();

 private:
  static constexpr unsigned kSlots = 8;
  using Operation = void (Script::*)();

  // An address to pass in: of any family, of any length.
  struct Name {
    sockaddr_storage storage{};
    socklen_t length = 0;
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  };
  // A message to send or to receive into, all of it in blocks of exactly its size.
  struct Message {
    std::vector<std::vector<uint8_t>> blocks;
    std::vector<iovec> pieces;
    std::vector<uint8_t> name, control;
    msghdr header{};
  };

  // --- stack_script.cc: arguments
  uint8_t Byte() { return reader_.Number8(); }
  bool Coin() { return (Byte() & 1) != 0; }
  int Descriptor();
  unsigned Slot() { return Byte() % kSlots; }
  void Keep(int fd);
  size_t Size();
  uint16_t Port();
  wire::Endpoint PeerEndpoint(bool v4);
  Name Address();
  int Interesting();
  void Step();
  // The result of a call: what it may be, and errno.
  static void CheckResult(long result, long most);

  // --- stack_calls.cc
  void OpenSocket();
  void BindSocket();
  void ListenSocket();
  void ConnectSocket();
  void AcceptSocket();
  void CloseSlot();
  void ShutdownSocket();
  void Duplicate();
  void AskNames();
  void PollSockets();
  void SelectSockets();
  void OpenEpoll();
  void ControlEpoll();
  void WaitEpoll();
  void SetCallback();
  void RunCallbacks();

  // --- stack_data.cc
  void SendBytes();
  void SendDatagram();
  void SendMessage();
  void SendMessages();
  void SendFromFile();
  void ReceiveBytes();
  void ReceiveMessage();
  void ReceiveMessages();
  void AllocateZeroCopy();
  void SendZeroCopy();
  void ReceiveZeroCopy();
  // A file with the pattern in it, made once.
  static int PatternFile();
  // Where what a stream sends next stands.
  uint32_t SentBefore(int fd);
  // Where what a stream receives next stands; none: no stream.
  std::optional<uint32_t> ReceivedBefore(int fd);
  void FillPieces(Message& message, int fd);
  void MakeControl(Message& message);
  void MakeOutgoing(Message& message, int fd);
  void MakeIncoming(Message& message);
  int SendFlags();
  int ReceiveFlags();

  // --- stack_options.cc
  void SetOption();
  void GetOption();
  void ControlFile();
  void ControlDevice();
  std::vector<uint8_t> OptionValue(uint8_t kind);

  // --- stack_frames.cc
  void ArriveRaw();
  void ArriveRepaired();
  void ArriveDatagram();
  void ArriveSyn();
  void ArriveSegment();
  void ArriveAnswer();
  void ArriveError();
  void ArriveEcho();
  void ChangePeer();
  void ChangeNetwork();
  void Elapse();
  void ElapseLong();
  void Settle();
  Packet Segment(const Flow& flow);
  std::optional<wire::Endpoint> LiveSocket(bool stream);
  void Deliver(const Packet& packet);

  static const Operation kOperations[];

  Reader reader_;
  int file_;
  int lowest_free_;  // descriptor before the world was made
  World world_;
  std::array<int, kSlots> fds_;
  std::vector<sluice_zc_buffer> lent_;
  // Streams may receive something else than the pattern: urgent bytes stand out of line, frames may
  // hold anything, and a SYN may begin anywhere.
  bool spoiled_ = false;
};

}  // namespace sluice::fuzz
