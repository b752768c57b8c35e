// The engine's view of the socket table: slots, their private halves, and the notices to the
// application. One per engine and region; the engine's thread only.
//
//   Handle handle = table.Open(Type::kStream, kTcp, AF_INET, lane);
//   if (handle.is_none()) ... every slot is taken ...
//   Socket socket = table.Find(handle);
//   socket.receive_queue().Push(packet, false);
//   socket.Notify(kEventIn);
#pragma once

#include <cassert>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "table/connection_queue.h"
#include "table/handle.h"
#include "table/receive_queue.h"
#include "table/region.h"
#include "table/send_queue.h"

namespace sluice::table {

// What the engine keeps of a socket outside the region: one cache line.
struct alignas(64) EngineSide {
  static constexpr uint32_t kNoControlBlock = 0xffffffff;

  SendState send;
  ReceiveState receive;
  uint32_t control_block = kNoControlBlock;  // index in the protocol's own table
  uint32_t generation = 0;                   // the truth; the entry's copy may be scribbled on
  Type type = Type::kNone;                   // likewise
  Status status = Status::kTerminated;       // likewise
  uint16_t third = 0;                        // 1 + index of its ThirdQueue; 0: it has none
};
static_assert(sizeof(EngineSide) == 64);

// The engine's notes on the queue that few sockets use.
struct ThirdQueue {
  ConnectionState connection;  // listeners
  ReceiveState errors;         // all others: the error queue
};

struct TableCounters {
  uint64_t opened = 0;           // sockets, by socket() and by accept
  uint64_t closed = 0;           // slots given back
  uint64_t refused_sockets = 0;  // no slot
  uint64_t stale_handles = 0;    // commands and doorbells for slots that had moved on
  uint64_t events = 0;           // event notices queued
  uint64_t illegal_changes = 0;  // status changes that the table forbids: a bug if not 0
};

class SocketTable;

// A slot in use, for the duration of a call. Cheap to copy.
class Socket {
 public:
  Socket() = default;
  Socket(SocketTable* table, uint32_t index) : table_(table), index_(index) {}

  explicit operator bool() const { return table_ != nullptr; }
  uint32_t index() const { return index_; }
  inline Handle handle() const;
  inline Entry& entry() const;
  inline EngineSide& side() const;
  inline const Region& region() const;

  inline SendQueue send_queue() const;
  inline ReceiveQueue receive_queue() const;
  inline ReceiveQueue error_queue() const;
  inline ConnectionQueue connection_queue() const;
  // The last two exist from the first call of this one on. False: too many sockets have one.
  bool OpenThirdQueue() const;
  bool has_third_queue() const { return side().third != 0; }

  Type type() const { return side().type; }
  Status status() const { return side().status; }
  // Changes the status, and publishes what was written before (endpoints, flags).
  void SetStatus(Status status) const;
  // Records an asynchronous error for SO_ERROR and the next call, and notifies.
  void SetError(Result error) const;
  // Tells whoever waits for any of `events` (Event bits). Error and hang-up are always told.
  void Notify(uint32_t events) const;

 private:
  SocketTable* table_ = nullptr;
  uint32_t index_ = 0;
};

class SocketTable {
 public:
  // The region's memory outlives the table.
  SocketTable(const Region& region, uint8_t lane);
  // Frees what open sockets still hold; their packets' pools outlive the table.
  ~SocketTable();
  SocketTable(const SocketTable&) = delete;
  SocketTable& operator=(const SocketTable&) = delete;

  // The engine's view, with blocks and buffers kept at hand.
  const Region& region() const { return region_; }
  // Region::ShareMbufs for this view, where the region given was not told before.
  void ShareMbufs(const void* anchor) { region_.ShareMbufs(anchor); }
  uint8_t lane() const { return lane_; }
  Options& defaults() { return *defaults_; }
  const TableCounters& counters() const { return counters_; }
  uint32_t open_sockets() const { return open_; }

  // Takes a slot. is_none(): none is left, or the application has not a single one to spare.
  Handle Open(Type type, uint8_t protocol, uint8_t family, Status status);
  // The socket that a handle names, or false for a stale one.
  Socket Find(Handle handle);
  // The socket in a slot that a doorbell named, or false if it is free.
  Socket At(uint32_t index);
  // Bring what will be needed of a socket into the cache: first its own records, then the blocks of
  // its rings, at last the buffers that those name. Where one lies stands in the one before.
  void Prefetch(uint32_t index) const;
  void PrefetchBlocks(uint32_t index) const;
  void PrefetchBuffers(uint32_t index) const;
  // Gives `to` the options of `from`: a connection those of its listener.
  void Inherit(Socket from, Socket to);
  // Frees all that the socket holds and gives the slot back. The connections that wait in a
  // listener's queue must have been ended before.
  void Close(Socket socket);

  // Looks at `budget` slots, going on where the last call ended, and takes back what idle sockets
  // hold: what the application has read and was not noticed yet, and the block of a drained send
  // queue that has been idle since the last round.
  enum class Sweep : uint8_t {
    kGoesOn,  // the round has not ended
    kAgain,   // it has, and the next one may find something
    kDone,    // it has, and there is nothing to be found until more arrives or is sent
  };
  Sweep SweepIdle(uint32_t budget);

 private:
  friend class Socket;
  void ResetEntry(Entry& entry);
  bool Owns(uint32_t index) const { return index >= first_ && index < end_; }
  bool OpenThirdQueue(EngineSide& side);
  void CloseThirdQueue(Socket socket);

  StorageCache storage_;
  Region region_;  // this engine's view
  uint8_t lane_;
  std::unique_ptr<Options> defaults_;
  std::unique_ptr<EngineSide[]> sides_;
  std::vector<uint32_t> free_;
  std::deque<ThirdQueue> third_queues_;
  std::vector<uint16_t> free_third_queues_;  // as EngineSide::third counts
  // Each lane has a share of the slots of its own: first_ to end_ - 1.
  uint32_t first_;
  uint32_t end_;
  uint32_t fresh_;  // the lowest slot never used
  uint32_t open_ = 0;
  uint32_t swept_;            // the slot that SweepIdle looks at next
  bool sweep_again_ = false;  // this round has left something to the next
  uint64_t next_socket_id_;   // counts in steps of lanes: unique in the region
  TableCounters counters_;
};

inline Handle Socket::handle() const { return {index_, side().generation}; }
inline Entry& Socket::entry() const { return table_->region_.entry(index_); }
inline EngineSide& Socket::side() const { return table_->sides_[index_ - table_->first_]; }
inline const Region& Socket::region() const { return table_->region_; }
inline SendQueue Socket::send_queue() const { return {region(), entry(), side().send}; }
inline ReceiveQueue Socket::receive_queue() const { return {region(), entry(), side().receive}; }
inline ReceiveQueue Socket::error_queue() const {
  assert(has_third_queue());
  return ReceiveQueue::ErrorQueue(region(), entry(),
                                  table_->third_queues_[side().third - 1u].errors);
}
inline ConnectionQueue Socket::connection_queue() const {
  assert(has_third_queue());
  return {region(), entry(), table_->third_queues_[side().third - 1u].connection};
}

}  // namespace sluice::table
