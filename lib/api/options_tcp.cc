// The TCP level.
#include <linux/tcp.h>
#include <netinet/in.h>

#include <climits>

#include "api/ask.h"
#include "api/options.h"

namespace sluice::api {
namespace {

using table::Congestion;
using table::Options;
using table::Status;
using table::TcpInformation;

constexpr FlagOption kFlags[] = {
    {TCP_NODELAY, table::kNoDelay, false},  // but see SetTcpFlag
    {TCP_CORK, table::kCork, false},
    {TCP_QUICKACK, table::kQuickAck, true},
};

constexpr int kMostKeepAliveSeconds = 32767;
constexpr int kMostTries = 127;
constexpr int kDefaultSynRetries = 6;
constexpr int kDefaultSegmentBytes = 536;  // RFC 9293 section 3.7.1
constexpr int kLeastSegmentBytes = 88;
constexpr int kStateClosed = 7;  // as Linux numbers them
constexpr int kStateListen = 10;

// Stores an int in its range, and tells the engine.
template <typename T>
int SetRanged(const OpenSocket& socket, table::Cell<T>& cell, int value, int least, int most) {
  if (value < least || value > most) return EINVAL;
  cell.store(static_cast<T>(value));
  TellOptions(socket);
  return 0;
}

int SetTcpFlag(const OpenSocket& socket, const FlagOption& option, bool on) {
  const int error = SetFlagOption(socket, option, on);
  // These two hold back what is not sent yet: without that they are no news to the engine.
  const bool is_about_unsent = option.name == TCP_NODELAY || option.name == TCP_CORK;
  if (is_about_unsent && table::SendQueueBytes(*socket.entry) != 0) TellOptions(socket);
  return error;
}

int SetCongestion(const OpenSocket& socket, OptionInput input) {
  if (input.value == nullptr) return EFAULT;
  char name[16] = {};
  if (input.length == 0) return EINVAL;
  std::memcpy(name, input.value, std::min<size_t>(input.length, sizeof(name) - 1));
  Congestion congestion;
  if (std::strcmp(name, "cubic") == 0) {
    congestion = Congestion::kCubic;
  } else if (std::strcmp(name, "reno") == 0 || std::strcmp(name, "newreno") == 0) {
    congestion = Congestion::kNewReno;
  } else {
    return ENOENT;
  }
  socket.entry->options.congestion.store(congestion);
  TellOptions(socket);
  return 0;
}

int SetSegmentBytes(const OpenSocket& socket, int value) {
  if (value != 0 && (value < kLeastSegmentBytes || value > SHRT_MAX)) return EINVAL;
  socket.entry->options.maximum_segment_bytes.store(static_cast<uint16_t>(value));
  TellOptions(socket);
  return 0;
}

TcpInformation Information(const OpenSocket& socket) {
  TcpInformation information;
  Answer answer;
  const table::Result result = Ask(socket, {.operation = table::Operation::kInformation}, &answer);
  if (result == table::Result::kOk && answer.length >= sizeof(information)) {
    std::memcpy(static_cast<void*>(&information), answer.payload, sizeof(information));
  } else {
    information.state = static_cast<uint8_t>(
        socket.entry->status.load() == Status::kListening ? kStateListen : kStateClosed);
  }
  return information;
}

tcp_info ToLinux(const TcpInformation& in, const OpenSocket& socket) {
  tcp_info out{};
  out.tcpi_state = in.state;
  out.tcpi_ca_state = in.congestion_state;
  out.tcpi_retransmits = in.retransmits;
  out.tcpi_probes = in.probes;
  out.tcpi_backoff = in.backoff;
  out.tcpi_options = static_cast<uint8_t>(
      (in.timestamps ? TCPI_OPT_TIMESTAMPS : 0) | (in.sack ? TCPI_OPT_SACK : 0) |
      (in.window_scaling ? TCPI_OPT_WSCALE : 0) | (in.ecn ? TCPI_OPT_ECN : 0));
  out.tcpi_snd_wscale = in.send_scale & 15;
  out.tcpi_rcv_wscale = in.receive_scale & 15;
  out.tcpi_rto = in.rto_us;
  out.tcpi_ato = in.ato_us;
  out.tcpi_snd_mss = in.send_mss;
  out.tcpi_rcv_mss = in.receive_mss;
  out.tcpi_unacked = in.unacked_segments;
  out.tcpi_sacked = in.sacked_segments;
  out.tcpi_lost = in.lost_segments;
  out.tcpi_retrans = in.retransmitted_segments;
  out.tcpi_last_data_sent = in.last_data_sent_ms;
  out.tcpi_last_data_recv = in.last_data_received_ms;
  out.tcpi_last_ack_recv = in.last_ack_received_ms;
  out.tcpi_pmtu = in.path_mtu;
  out.tcpi_rcv_ssthresh = in.receive_ssthresh_bytes;
  out.tcpi_rtt = in.srtt_us;
  out.tcpi_rttvar = in.rttvar_us;
  out.tcpi_snd_ssthresh = in.send_ssthresh_segments;
  out.tcpi_snd_cwnd = in.send_cwnd_segments;
  out.tcpi_advmss = in.advertised_mss;
  out.tcpi_reordering = in.reordering_segments;
  out.tcpi_rcv_space = in.receive_space_bytes;
  out.tcpi_total_retrans = in.total_retransmits;
  out.tcpi_pacing_rate = in.pacing_rate_bytes;
  out.tcpi_max_pacing_rate = ~0ull;
  out.tcpi_bytes_acked = in.bytes_acked;
  out.tcpi_bytes_received = in.bytes_received;
  out.tcpi_segs_out = in.segments_out;
  out.tcpi_segs_in = in.segments_in;
  out.tcpi_notsent_bytes = in.not_sent_bytes;
  out.tcpi_min_rtt = in.min_rtt_us;
  out.tcpi_data_segs_in = in.data_segments_in;
  out.tcpi_data_segs_out = in.data_segments_out;
  out.tcpi_delivery_rate = in.delivery_rate_bytes;
  out.tcpi_busy_time = in.busy_time_us;
  out.tcpi_bytes_sent = in.bytes_sent;
  out.tcpi_bytes_retrans = in.bytes_retransmitted;
  out.tcpi_snd_wnd = in.send_window_bytes;
  // A listener tells of its queue in these two (tcp(7), TCP_INFO on Linux).
  if (in.state == kStateListen) {
    out.tcpi_unacked = table::ConnectionQueueLength(*socket.entry);
    out.tcpi_sacked = socket.entry->backlog.load();
  }
  return out;
}

int GetSegmentBytes(const OpenSocket& socket, OptionOutput output) {
  const Status status = socket.entry->status.load();
  if (status == Status::kConnected || status == Status::kShutdown) {
    return output.Put(static_cast<int>(Information(socket).send_mss));
  }
  const int chosen = socket.entry->options.maximum_segment_bytes.load();
  return output.Put(chosen != 0 ? chosen : kDefaultSegmentBytes);
}

int GetCongestion(const OpenSocket& socket, OptionOutput output) {
  // A name in a field of 16 bytes, of which the caller may want less.
  char name[16] = {};
  const bool cubic = socket.entry->options.congestion.load() == Congestion::kCubic;
  std::strcpy(name, cubic ? "cubic" : "reno");
  return output.Put(name, sizeof(name));
}

}  // namespace

int SetTcpOption(const OpenSocket& socket, int name, OptionInput input) {
  if (name == TCP_CONGESTION) return SetCongestion(socket, input);
  if (name == TCP_ULP) return ENOENT;  // no upper layer protocol is offered
  int value;
  if (int error = input.Get(value)) return error;
  Options& o = socket.entry->options;
  if (const FlagOption* flag = FindFlag(kFlags, name)) {
    return SetTcpFlag(socket, *flag, value != 0);
  }
  switch (name) {
    case TCP_KEEPIDLE:
      return SetRanged(socket, o.keepalive_idle_s, value, 1, kMostKeepAliveSeconds);
    case TCP_KEEPINTVL:
      return SetRanged(socket, o.keepalive_interval_s, value, 1, kMostKeepAliveSeconds);
    case TCP_KEEPCNT:
      return SetRanged(socket, o.keepalive_count, value, 1, kMostTries);
    case TCP_USER_TIMEOUT:
      return SetRanged(socket, o.user_timeout_ms, value, 0, INT_MAX);
    case TCP_DEFER_ACCEPT:
      return SetRanged(socket, o.defer_accept_s, std::clamp(value, 0, UINT16_MAX), 0, UINT16_MAX);
    case TCP_LINGER2:
      // Negative: no FIN-WAIT-2 at all; 0 and too long: the default (tcp(7)).
      return SetRanged(socket, o.fin_wait2_timeout_s, value <= 0 || value > 120 ? 60 : value, 1,
                       120);
    case TCP_WINDOW_CLAMP:
      return SetRanged(socket, o.window_clamp_bytes, value == 0 ? 0 : std::max(value, 1152), 0,
                       INT_MAX);
    case TCP_NOTSENT_LOWAT:
      o.not_sent_low_water_bytes.store(static_cast<uint32_t>(value));
      TellOptions(socket);
      return 0;
    case TCP_SYNCNT:
      if (value < 1 || value > kMostTries) return EINVAL;
      o.syn_retries.store(static_cast<uint8_t>(value));
      return 0;
    case TCP_MAXSEG:
      return SetSegmentBytes(socket, value);
    case TCP_THIN_LINEAR_TIMEOUTS:
    case TCP_THIN_DUPACK:
      return value < 0 || value > 1 ? EINVAL : 0;  // hints
    case TCP_FASTOPEN:
    case TCP_FASTOPEN_CONNECT:
    case TCP_FASTOPEN_NO_COOKIE:
      return EOPNOTSUPP;
    case TCP_REPAIR:
      return EPERM;
    default:
      return ENOPROTOOPT;
  }
}

int GetTcpOption(const OpenSocket& socket, int name, OptionOutput output) {
  const Options& o = socket.entry->options;
  if (const FlagOption* flag = FindFlag(kFlags, name)) {
    return output.Put(static_cast<int>(o.is_set(flag->flag)));
  }
  const auto put = [&output](auto number) { return output.Put(static_cast<int>(number)); };
  switch (name) {
    case TCP_KEEPIDLE:
      return put(o.keepalive_idle_s.load());
    case TCP_KEEPINTVL:
      return put(o.keepalive_interval_s.load());
    case TCP_KEEPCNT:
      return put(o.keepalive_count.load());
    case TCP_USER_TIMEOUT:
      return put(o.user_timeout_ms.load());
    case TCP_DEFER_ACCEPT:
      return put(o.defer_accept_s.load());
    case TCP_LINGER2:
      return put(o.fin_wait2_timeout_s.load());
    case TCP_WINDOW_CLAMP:
      return put(o.window_clamp_bytes.load());
    case TCP_NOTSENT_LOWAT:
      return put(o.not_sent_low_water_bytes.load());
    case TCP_SYNCNT: {
      const int retries = o.syn_retries.load();
      return put(retries != 0 ? retries : kDefaultSynRetries);
    }
    case TCP_MAXSEG:
      return GetSegmentBytes(socket, output);
    case TCP_CONGESTION:
      return GetCongestion(socket, output);
    case TCP_INFO:
      return output.Put(ToLinux(Information(socket), socket));
    case TCP_ULP:
      *output.length = 0;
      return 0;
    case TCP_THIN_LINEAR_TIMEOUTS:
    case TCP_THIN_DUPACK:
    case TCP_FASTOPEN:
    case TCP_FASTOPEN_CONNECT:
    case TCP_REPAIR:
      return put(0);
    default:
      return ENOPROTOOPT;
  }
}

}  // namespace sluice::api
