/* Drives Sluice step by step, as a test harness of protocols does: frames in, time, calls, frames
 * out. No DPDK device, no thread, no privilege, no clock of the machine's.
 *
 * The harness plays a peer that opens a TCP connection over a link without Ethernet, loses the
 * first segment it is sent, sees it again exactly one retransmission time-out later, and closes. It
 * does all of it three times, each with an instance of its own. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <sluice/instance.h>
#include <sluice/sluice.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "harness: line %d: not so: %s\n", __LINE__, #condition); \
      exit(1);                                                                 \
    }                                                                          \
  } while (0)

static const int64_t kMillisecond = 1000000;
static const char kConfiguration[] =
    "progress: manual\n"
    "interfaces:\n"
    "  - name: link0\n"
    "    device: callback\n"
    "    addresses: [192.0.2.1/24]\n";

struct segment {
  struct iphdr ip;
  struct tcphdr tcp;
  uint8_t bytes[1460]; /* options, then payload */
};

/* The peer's side of the connection. */
static uint32_t next_out, next_in;

static uint32_t Sum(const void* data, size_t count, uint32_t sum) {
  const uint8_t* bytes = data;
  for (size_t i = 0; i < count; ++i) sum += (uint32_t)bytes[i] << (i % 2 == 0 ? 8 : 0);
  return sum;
}
static uint16_t Fold(uint32_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return htons((uint16_t)~sum);
}

/* The peer sends a segment, and Sluice has a turn. */
static void Send(int syn, int fin) {
  struct segment s;
  memset(&s, 0, sizeof s);
  s.ip.version = 4, s.ip.ihl = 5, s.ip.ttl = 64, s.ip.protocol = IPPROTO_TCP;
  s.ip.tot_len = htons(sizeof s.ip + sizeof s.tcp);
  s.ip.saddr = inet_addr("192.0.2.2"), s.ip.daddr = inet_addr("192.0.2.1");
  s.ip.check = Fold(Sum(&s.ip, sizeof s.ip, 0));
  s.tcp.source = htons(40000), s.tcp.dest = htons(80);
  s.tcp.seq = htonl(next_out), s.tcp.ack_seq = htonl(next_in);
  s.tcp.doff = 5, s.tcp.window = htons(65535);
  s.tcp.syn = syn != 0, s.tcp.fin = fin != 0, s.tcp.ack = syn == 0;
  uint32_t pseudo = Sum(&s.ip.saddr, 8, IPPROTO_TCP + sizeof s.tcp);
  s.tcp.check = Fold(Sum(&s.tcp, sizeof s.tcp, pseudo));
  next_out += (uint32_t)(s.tcp.syn + s.tcp.fin);
  CHECK(sluice_port_input(0, &s, sizeof s.ip + sizeof s.tcp) == 0);
  while (sluice_poll()) continue;
}

/* Takes the next segment that Sluice sent. Returns the bytes of its payload, -1 if there is none.
 */
static int Receive(struct segment* s, const uint8_t** payload) {
  ssize_t length = sluice_port_output(0, s, sizeof *s);
  if (length == 0) return -1;
  CHECK(length >= (ssize_t)(sizeof s->ip + sizeof s->tcp) && s->ip.protocol == IPPROTO_TCP);
  CHECK(Sum(&s->ip, sizeof s->ip, 0) % 0xffff == 0);
  uint32_t tcp_bytes = (uint32_t)(ntohs(s->ip.tot_len) - sizeof s->ip);
  CHECK(Sum(&s->tcp, tcp_bytes, Sum(&s->ip.saddr, 8, IPPROTO_TCP + tcp_bytes)) % 0xffff == 0);
  *payload = (const uint8_t*)&s->tcp + 4 * s->tcp.doff;
  return (int)(tcp_bytes - 4u * s->tcp.doff);
}

static void Advance(int64_t now_ns) {
  CHECK(sluice_advance_to(now_ns) == 0);
  while (sluice_poll()) continue;
}

/* The three-way handshake, with a round trip of 100 ms. Returns the accepted socket. */
static int Handshake(int listener) {
  struct segment s;
  const uint8_t* payload;
  next_out = 1000, next_in = 0;
  Send(1, 0);
  CHECK(Receive(&s, &payload) == 0 && s.tcp.syn && s.tcp.ack);
  CHECK(ntohl(s.tcp.ack_seq) == next_out);
  next_in = ntohl(s.tcp.seq) + 1;
  Advance(sluice_now_ns() + 100 * kMillisecond);
  CHECK(Receive(&s, &payload) == -1);
  CHECK(sluice_accept(listener, NULL, NULL) == -1);
  Send(0, 0);
  int fd = sluice_accept(listener, NULL, NULL);
  CHECK(fd >= 0);
  return fd;
}

static void LoseOne(int fd) {
  struct segment s;
  const uint8_t* payload;
  int64_t sent_at = sluice_now_ns();
  CHECK(sluice_send(fd, "hello", 5, 0) == 5);
  while (sluice_poll()) continue;
  CHECK(Receive(&s, &payload) == 5 && ntohl(s.tcp.seq) == next_in); /* lost on the way */

  /* RFC 6298: a first round trip of 100 ms makes the time-out 100 ms + 4 * 50 ms. */
  Advance(sent_at + 300 * kMillisecond - 1);
  CHECK(Receive(&s, &payload) == -1);
  CHECK(sluice_next_deadline_ns() >= sent_at + 300 * kMillisecond);
  CHECK(sluice_next_deadline_ns() <= sent_at + 302 * kMillisecond); /* a timer's tick */
  Advance(sluice_next_deadline_ns());
  CHECK(Receive(&s, &payload) == 5 && ntohl(s.tcp.seq) == next_in);
  CHECK(memcmp(payload, "hello", 5) == 0);
  next_in += 5;
  Send(0, 0);
  CHECK(Receive(&s, &payload) == -1);
}

static void Close(int fd) {
  struct segment s;
  const uint8_t* payload;
  CHECK(sluice_close(fd) == 0);
  while (sluice_poll()) continue;
  CHECK(Receive(&s, &payload) == 0 && s.tcp.fin && ntohl(s.tcp.seq) == next_in);
  ++next_in;
  Send(0, 1);
  CHECK(Receive(&s, &payload) == 0 && s.tcp.ack && ntohl(s.tcp.ack_seq) == next_out);
}

static void Run(uint64_t seed) {
  struct sluice_callback_port port = {
      .interface = "link0",
      .config = {.struct_size = sizeof port.config, .link_type = SLUICE_LINK_IP}};
  struct sluice_settings settings = SLUICE_SETTINGS_INITIALIZER;
  struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(80)};
  char error[256];
  settings.yaml = kConfiguration;
  settings.ports = &port;
  settings.port_count = 1;
  settings.seed = seed;
  if (sluice_init_settings(&settings, error, sizeof error) != 0) {
    fprintf(stderr, "harness: %s\n", error);
    exit(1);
  }
  CHECK(sluice_now_ns() == 0);
  int listener = sluice_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CHECK(sluice_bind(listener, (struct sockaddr*)&local, sizeof local) == 0);
  CHECK(sluice_listen(listener, 1) == 0);
  int fd = Handshake(listener);
  LoseOne(fd);
  Close(fd);
  sluice_finish();
}

int main(void) {
  for (uint64_t seed = 1; seed <= 3; ++seed) Run(seed);
  puts("handshake, loss, retransmission after 300 ms and close: as they should be");
  return 0;
}
