#include "calls.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sluice/instance.h>
#include <sluice/sluice.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sluice::perf {
namespace {

const Calls kKernel = {
    "kernel",     ::socket,     ::bind, ::listen, ::connect,  ::accept4,  ::close,
    ::setsockopt, ::getsockopt, ::send, ::recv,   ::sendmmsg, ::recvmmsg, ::epoll_create1,
    ::epoll_ctl,  ::epoll_wait, ::poll, nullptr,  nullptr,    nullptr,    nullptr,
};

const Calls kSluice = {
    "sluice",          sluice_socket,        sluice_bind,      sluice_listen,
    sluice_connect,    sluice_accept4,       sluice_close,     sluice_setsockopt,
    sluice_getsockopt, sluice_send,          sluice_recv,      sluice_sendmmsg,
    sluice_recvmmsg,   sluice_epoll_create1, sluice_epoll_ctl, sluice_epoll_wait,
    sluice_poll_fds,   sluice_set_callback,  sluice_poll,      sluice_zc_recv_datagrams,
    sluice_zc_settle,
};

volatile sig_atomic_t stopped;
void Stop(int) { stopped = 1; }

void RaiseDescriptorLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Calls net = kKernel;

bool StartSockets(Flags& flags) {
  struct sigaction action = {};
  action.sa_handler = Stop;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  RaiseDescriptorLimit();
  const std::string config = flags.Text("config", "");
  if (flags.Switch("kernel")) return true;
  sluice_settings settings = SLUICE_SETTINGS_INITIALIZER;
  if (!config.empty()) settings.file = config.c_str();
  char error[512];
  if (sluice_init_settings(&settings, error, sizeof error) != 0) {
    fprintf(stderr, "%s\n", error);
    return false;
  }
  net = kSluice;
  return true;
}

void FinishSockets() {
  if (sluice_is_running() != 0) sluice_finish();
}

bool Stopped() { return stopped != 0; }

Endpoint ParseEndpoint(const std::string& address, unsigned port) {
  Endpoint endpoint = {};
  auto* v4 = reinterpret_cast<sockaddr_in*>(&endpoint.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&endpoint.storage);
  if (inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<uint16_t>(port));
    endpoint.length = sizeof *v4;
  } else if (inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(static_cast<uint16_t>(port));
    endpoint.length = sizeof *v6;
  } else {
    fprintf(stderr, "%s is no address\n", address.c_str());
    exit(2);
  }
  return endpoint;
}

Endpoint Shifted(Endpoint endpoint, uint32_t offset) {
  auto* v4 = reinterpret_cast<sockaddr_in*>(&endpoint.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&endpoint.storage);
  uint32_t* last =
      endpoint.family() == AF_INET ? &v4->sin_addr.s_addr : &v6->sin6_addr.s6_addr32[3];
  *last = htonl(ntohl(*last) + offset);
  return endpoint;
}

// The port stands at the same place in both families' addresses.
unsigned Endpoint::port() const {
  return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
}

Endpoint WithPort(Endpoint endpoint, unsigned port) {
  reinterpret_cast<sockaddr_in*>(&endpoint.storage)->sin_port = htons(static_cast<uint16_t>(port));
  return endpoint;
}

void Die(const char* what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  FinishSockets();
  exit(1);
}

}  // namespace sluice::perf
