#include "tcp/recovery.h"

#include <algorithm>

#include "tcp/core.h"
#include "tcp/segment.h"

namespace sluice::tcp {
namespace {

constexpr uint32_t kDupThresh = 3;  // RFC 6675 section 2

const Scoreboard* ScoreboardOf(const Core& core, const Connection& c) {
  return c.scoreboard == kNone ? nullptr : &core.scoreboards[c.scoreboard];
}

// IsLost of RFC 6675 section 4 for a hole above which the peer holds this much.
bool IsLost(const Connection& c, uint32_t ranges_above, uint32_t bytes_above) {
  return ranges_above >= kDupThresh || bytes_above > (kDupThresh - 1) * c.mss;
}

bool FirstIsLost(const Core& core, const Connection& c) {
  const Scoreboard* s = ScoreboardOf(core, c);
  return s != nullptr && IsLost(c, s->count, s->bytes);
}

uint32_t Length(Sequence begin, Sequence end) {
  return end > begin ? static_cast<uint32_t>(end - begin) : 0;
}

void RememberForUndo(Connection& c) {
  c.undo_cwnd = c.congestion.cwnd;
  c.undo_ssthresh = c.congestion.ssthresh;
  c.undo_timestamp = 0;
  c.set(kCanUndo);
}

void EnterRecovery(Core& core, Connection& c) {
  RememberForUndo(c);
  c.recover = c.snd_nxt;
  c.high_retransmit = c.snd_una;
  OnLoss(c.congestion, c.flight(), c.mss);
  c.recovery = Recovery::kRecovery;
  c.clear(kTimingRtt);
  ++(c.scoreboard != kNone ? core.counters.TcpExtTCPSackRecovery
                           : core.counters.TcpExtTCPRenoRecovery);
}

void LeaveRecovery(Core& core, Connection& c) {
  if (c.recovery == Recovery::kRecovery && c.scoreboard == kNone) {
    // RFC 6582 section 3.2 step 3, the cautious variant: no burst where little is in flight.
    c.congestion.cwnd =
        std::min(c.congestion.ssthresh, std::max<uint32_t>(c.flight(), c.mss) + c.mss);
  }
  c.dup_acks = 0;
  c.clear(kCanUndo | kRetransmitted);
  const Scoreboard* s = ScoreboardOf(core, c);
  c.recovery = s != nullptr && !s->empty() ? Recovery::kDisorder : Recovery::kOpen;
}

// RFC 3522: an acknowledgment that echoes a time before the first retransmission was caused by the
// original. RFC 4015: the window becomes what it was.
bool Undo(Core& core, Connection& c, const Segment& segment) {
  if (!c.has(kCanUndo) || !c.has(kTimestamps) || !c.has(kRetransmitted)) return false;
  c.clear(kCanUndo);
  if (static_cast<int32_t>(segment.options.timestamps.echo_reply - c.undo_timestamp) >= 0) {
    return false;
  }
  ++(c.recovery == Recovery::kLoss ? core.counters.TcpExtTCPSpuriousRTOs
                                   : core.counters.TcpExtTCPFullUndo);
  c.congestion.cwnd = std::max(c.congestion.cwnd, c.undo_cwnd);
  c.congestion.ssthresh = c.undo_ssthresh;
  c.high_retransmit = c.snd_una;
  LeaveRecovery(core, c);
  return true;
}

void Grow(Core& core, Connection& c, uint32_t acked, uint32_t flight_before) {
  // RFC 9438 section 5.8 and RFC 7661 section 3: a window that was not used proves nothing.
  const bool slow_start = c.congestion.cwnd < c.congestion.ssthresh;
  const bool used =
      c.has(kCwndLimited) || (slow_start && uint64_t{flight_before} * 2 >= c.congestion.cwnd);
  if (used) OnAcknowledged(c.congestion, core.now, acked, c.mss, c.srtt_us);
}

}  // namespace

uint32_t TakeSackBlocks(Core& core, Connection& c, const Segment& segment) {
  const wire::TcpOptions& options = segment.options;
  if (options.sack_count == 0 || !c.has(kSack)) [[likely]]
    return 0;
  const Sequence ack = segment.header.acknowledgment;
  uint32_t news = 0;
  for (unsigned i = 0; i < options.sack_count; ++i) {
    const wire::SackBlock& block = options.sack[i];
    // RFC 2883 section 4: only the first block can report a duplicate.
    const bool inside_next = i == 0 && options.sack_count > 1 &&
                             options.sack[1].begin <= block.begin &&
                             block.end <= options.sack[1].end;
    if (i == 0 && (block.end <= ack || inside_next)) {
      ++core.counters.TcpExtTCPDSACKRecv;
      continue;
    }
    if (!(c.snd_una <= block.begin && ack <= block.begin && block.begin < block.end &&
          block.end <= c.snd_nxt)) {
      continue;
    }
    if (c.scoreboard == kNone) {
      c.scoreboard = core.scoreboards.Take();
      if (c.scoreboard == kNone) {
        ++core.counters.ScoreboardsFull;
        return news;
      }
    }
    bool full = false;
    news += core.scoreboards[c.scoreboard].Mark(block.begin, block.end, &full);
    if (full) ++core.counters.ScoreboardRangesFull;
  }
  return news;
}

void OnDuplicate(Core& core, Connection& c) {
  core.Touch(c);
  if (c.recovery == Recovery::kOpen) {
    c.recovery = Recovery::kDisorder;
    c.dup_acks = 0;
  }
  if (c.dup_acks < UINT8_MAX) ++c.dup_acks;
  if (c.recovery != Recovery::kDisorder) return;
  // RFC 5681 section 3.2, RFC 6675 section 5 (1) and (2).
  if (c.dup_acks >= kDupThresh || FirstIsLost(core, c)) EnterRecovery(core, c);
}

void OnProgress(Core& core, Connection& c, const Segment& segment, uint32_t acked,
                uint32_t flight_before) {
  if (c.scoreboard != kNone) core.scoreboards[c.scoreboard].Forget(c.snd_una);
  c.high_retransmit = Max(c.high_retransmit, c.snd_una);
  switch (c.recovery) {
    case Recovery::kOpen:
    case Recovery::kDisorder:
      LeaveRecovery(core, c);
      Grow(core, c, acked, flight_before);
      break;
    case Recovery::kRecovery:
      if (Undo(core, c, segment)) break;
      if (c.snd_una >= c.recover) {
        LeaveRecovery(core, c);
      } else if (c.scoreboard == kNone) {
        // RFC 6582 section 3.2 step 4: a partial acknowledgment says that the next is lost, too.
        c.high_retransmit = c.snd_una;
        const uint32_t left = acked / c.mss;
        c.dup_acks = static_cast<uint8_t>(c.dup_acks - std::min<uint32_t>(c.dup_acks, left));
      }
      break;
    case Recovery::kLoss:
      if (Undo(core, c, segment)) break;
      if (c.snd_una >= c.recover) LeaveRecovery(core, c);
      OnAcknowledged(c.congestion, core.now, acked, c.mss, c.srtt_us);
      break;
  }
  if (c.scoreboard != kNone && core.scoreboards[c.scoreboard].empty()) ReleaseScoreboard(core, c);
}

void OnLossTimeout(Core& core, Connection& c) {
  if (c.recovery != Recovery::kLoss) {
    if (!c.has(kCanUndo)) RememberForUndo(c);
    c.undo_timestamp = 0;
    OnTimeout(c.congestion, c.flight(), c.mss);
  } else {
    // RFC 5681 section 3.1: ssthresh is lowered once for what is lost once.
    c.clear(kCanUndo);
    c.congestion.cwnd = c.mss;
  }
  ResendAll(core, c);
}

void ResendAll(Core& core, Connection& c) {
  c.recovery = Recovery::kLoss;
  c.recover = c.snd_nxt;
  c.high_retransmit = c.snd_una;
  c.dup_acks = 0;
  c.clear(kTimingRtt);
  // RFC 2018 section 8: a peer that holds the first byte would have acknowledged it; this one has
  // thrown away what it had said to hold.
  const Scoreboard* s = ScoreboardOf(core, c);
  if (s != nullptr && !s->empty() && s->ranges[0].begin <= c.snd_una) {
    ++core.counters.TcpExtTCPSACKReneging;
    ReleaseScoreboard(core, c);
  }
  core.Touch(c);
}

uint32_t Pipe(const Core& core, const Connection& c) {
  const uint32_t flight = c.flight();
  if (c.recovery == Recovery::kOpen) [[likely]]
    return flight;
  const Scoreboard* s = ScoreboardOf(core, c);
  const bool loss = c.recovery == Recovery::kLoss;
  if (s == nullptr || s->empty()) {
    if (loss) return Length(c.snd_una, c.high_retransmit) + Length(c.recover, c.snd_nxt);
    uint32_t left = c.dup_acks * uint32_t{c.mss};
    // RFC 3042: two segments at most before the retransmission.
    if (c.recovery == Recovery::kDisorder) left = std::min<uint32_t>(left, 2u * c.mss);
    if (c.recovery == Recovery::kRecovery && c.high_retransmit <= c.snd_una) left += c.mss;
    return flight > left ? flight - left : 0;
  }
  uint32_t pipe = loss ? Length(Max(s->highest(), c.recover), c.snd_nxt) +
                             Length(s->highest(), Min(c.high_retransmit, c.recover))
                       : Length(s->highest(), c.snd_nxt);
  uint32_t bytes_above = 0;
  for (uint32_t i = s->count; i-- > 0;) {
    bytes_above += Length(s->ranges[i].begin, s->ranges[i].end);
    const Sequence begin = i == 0 ? c.snd_una : s->ranges[i - 1].end;
    const Sequence end = s->ranges[i].begin;
    if (!loss && !IsLost(c, s->count - i, bytes_above)) pipe += Length(begin, end);
    pipe += Length(begin, Min(end, c.high_retransmit));
  }
  return pipe;
}

bool NextLost(const Core& core, const Connection& c, bool even_if_not_lost, Sequence* begin,
              Sequence* end) {
  const Scoreboard* s = ScoreboardOf(core, c);
  const bool loss = c.recovery == Recovery::kLoss;
  const Sequence from = Max(c.high_retransmit, c.snd_una);
  uint32_t bytes_above = s == nullptr ? 0 : s->bytes;
  Sequence hole = c.snd_una;
  for (uint32_t i = 0; s != nullptr && i < s->count; ++i) {
    const wire::SackBlock& range = s->ranges[i];
    if (range.begin > from && range.begin > hole) {
      if (!loss && !even_if_not_lost && !IsLost(c, s->count - i, bytes_above)) return false;
      *begin = Max(hole, from);
      *end = loss ? Min(range.begin, c.recover) : range.begin;
      return *begin < *end;
    }
    bytes_above -= Length(range.begin, range.end);
    hole = range.end;
  }
  if (loss) {
    *begin = Max(hole, from);
    *end = c.recover;
    return *begin < *end;
  }
  // Without SACK blocks only the first segment is known to be lost.
  if ((s != nullptr && !s->empty()) || c.high_retransmit > c.snd_una) return false;
  *begin = c.snd_una;
  *end = Min(c.snd_una + c.mss, c.recover);
  return *begin < *end;
}

bool MustRetransmitFirst(const Core& core, const Connection& c) {
  if (c.recovery != Recovery::kRecovery || c.high_retransmit > c.snd_una) return false;
  return c.scoreboard == kNone || FirstIsLost(core, c) || c.dup_acks >= kDupThresh;
}

void ReleaseScoreboard(Core& core, Connection& c) {
  if (c.scoreboard == kNone) return;
  core.scoreboards.Return(c.scoreboard);
  c.scoreboard = kNone;
}

}  // namespace sluice::tcp
