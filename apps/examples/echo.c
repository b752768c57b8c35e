/* Echoes TCP and UDP, IPv4 and IPv6, on one port number, in a loop of its own and without preload.
 *
 *   echo sluice.yaml 7
 * The configuration names the device, the addresses and the routes; see sluice.yaml(5). */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <signal.h>
#include <sluice/instance.h>
#include <sluice/sluice.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kEvents = 64, kBytes = 65536 };

static volatile sig_atomic_t stopped;
static void Stop(int number) { stopped = number; }

/* A socket for both families: IPv4 peers appear as ::ffff:a.b.c.d. */
static int Open(int type, unsigned port, int epoll) {
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  int off = 0, on = 1;
  int fd = sluice_socket(AF_INET6, type | SOCK_NONBLOCK, 0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (fd < 0 || sluice_setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0 ||
      sluice_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      sluice_bind(fd, (struct sockaddr*)&any, sizeof any) != 0 ||
      (type == SOCK_STREAM && sluice_listen(fd, 128) != 0) ||
      sluice_epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
    perror("echo");
    exit(1);
  }
  return fd;
}

static void Accept(int listener, int epoll) {
  int fd = sluice_accept(listener, NULL, NULL); /* blocking: a slow reader slows only the echo */
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (fd >= 0) sluice_epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void EchoDatagrams(int fd, char* bytes) {
  struct sockaddr_in6 peer;
  socklen_t length = sizeof peer;
  ssize_t count;
  while ((count = sluice_recvfrom(fd, bytes, kBytes, 0, (struct sockaddr*)&peer, &length)) >= 0) {
    sluice_sendto(fd, bytes, (size_t)count, 0, (struct sockaddr*)&peer, length);
    length = sizeof peer;
  }
}

static void EchoStream(int fd, char* bytes) {
  ssize_t count = sluice_recv(fd, bytes, kBytes, 0);
  ssize_t sent = 0;
  while (sent < count) {
    ssize_t more = sluice_send(fd, bytes + sent, (size_t)(count - sent), MSG_NOSIGNAL);
    if (more < 0) break;
    sent += more;
  }
  if (count <= 0 || sent < count) sluice_close(fd); /* leaves the epoll set by itself */
}

int main(int argc, char** argv) {
  static char bytes[kBytes];
  char error[256];
  struct sluice_settings settings = SLUICE_SETTINGS_INITIALIZER;
  if (argc != 3) {
    fprintf(stderr, "usage: echo <configuration file> <port>\n");
    return 2;
  }
  settings.file = argv[1];
  if (sluice_init_settings(&settings, error, sizeof error) != 0) {
    fprintf(stderr, "echo: %s\n", error);
    return 2;
  }
  struct sigaction action = {.sa_handler = Stop};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  int epoll = sluice_epoll_create1(0);
  int listener = Open(SOCK_STREAM, (unsigned)atoi(argv[2]), epoll);
  int datagrams = Open(SOCK_DGRAM, (unsigned)atoi(argv[2]), epoll);
  puts("ready");
  fflush(stdout);
  while (!stopped) {
    struct epoll_event events[kEvents];
    int count = sluice_epoll_wait(epoll, events, kEvents, -1);
    for (int i = 0; i < count; ++i) {
      int fd = events[i].data.fd;
      if (fd == listener)
        Accept(fd, epoll);
      else if (fd == datagrams)
        EchoDatagrams(fd, bytes);
      else
        EchoStream(fd, bytes);
    }
  }
  sluice_finish();
  return 0;
}
