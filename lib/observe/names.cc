#include "observe/names.h"

namespace sluice::observe {

std::string_view ToString(table::Result result) {
  constexpr std::string_view kNames[] = {
      "OK",           "INPROGRESS",  "ALREADY",     "INVAL",      "BADF",      "ADDRINUSE",
      "ADDRNOTAVAIL", "AFNOSUPPORT", "ACCES",       "ISCONN",     "NOTCONN",   "DESTADDRREQ",
      "CONNREFUSED",  "CONNRESET",   "CONNABORTED", "PIPE",       "TIMEDOUT",  "NETUNREACH",
      "HOSTUNREACH",  "MSGSIZE",     "PROTO",       "NOPROTOOPT", "OPNOTSUPP", "NODEV",
      "NFILE",        "NOBUFS",      "ELSEWHERE"};
  static_assert(std::size(kNames) == static_cast<size_t>(table::Result::kElsewhere) + 1);
  const auto i = static_cast<unsigned>(result);
  return i < std::size(kNames) ? kNames[i] : "unknown";
}

std::string_view TcpStateName(uint8_t state) {
  constexpr std::string_view kNames[] = {
      "NONE",  "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2",   "TIME_WAIT",
      "CLOSE", "CLOSE_WAIT",  "LAST_ACK", "LISTEN",   "CLOSING",   "NEW_SYN_RECV"};
  return state < std::size(kNames) ? kNames[state] : "unknown";
}

}  // namespace sluice::observe
