/* A network port whose frames the embedding program carries: it hands received frames in, takes
 * transmitted frames out and, if it wants, supplies the clock. No DPDK device, no EAL, no
 * privilege. Test harnesses, simulators and programs with a transport of their own use it.
 *
 *   static int Output(void* user, const void* frame, size_t frame_bytes) {
 *     return write(*(int*)user, frame, frame_bytes) == (ssize_t)frame_bytes ? 0 : -1;
 *   }
 *   ...
 *   struct sluice_callback_config config = {
 *       .struct_size = sizeof(config),
 *       .link_type = SLUICE_LINK_IP,
 *       .mtu = 1500,
 *       .output = Output,
 *       .user = &tun,
 *   };
 *
 * Every field that is 0 or NULL has the default that stands beside it. Fields may be added at the
 * end; struct_size tells which the program knows.
 */
#ifndef SLUICE_CALLBACK_H_
#define SLUICE_CALLBACK_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum sluice_link_type {
  SLUICE_LINK_ETHERNET = 1, /* frames begin with an Ethernet II header; without padding rules */
  SLUICE_LINK_IP = 2        /* frames begin with an IPv4 or IPv6 header */
};

/* Takes one transmitted frame, which is only valid during the call. Returns 0 if it took it;
 * anything else keeps the frame in Sluice, which offers it again at the next progress. Called from
 * whatever thread makes progress, one at a time; it must not call Sluice. */
typedef int (*sluice_output_function)(void* user, const void* frame, size_t frame_bytes);

/* Nanoseconds since any fixed moment, never decreasing. Same rules as the output function. */
typedef uint64_t (*sluice_clock_function)(void* user);

/* Flags. */
enum {
  /* The transport checksums of frames handed in were verified already, or never computed because
   * they crossed memory only. Without it Sluice verifies them. */
  SLUICE_CALLBACK_INPUT_VERIFIED = 1
};

struct sluice_callback_config {
  size_t struct_size;            /* sizeof(struct sluice_callback_config) */
  uint32_t link_type;            /* enum sluice_link_type; default SLUICE_LINK_IP */
  uint32_t mtu;                  /* bytes of an IP packet, 576 to 65,000; default 1,500 */
  uint8_t mac[6];                /* Ethernet only; default 02:73:6c:75:69:63 */
  uint16_t reserved;             /* 0 */
  uint32_t flags;                /* default none */
  uint32_t buffers;              /* packet buffers, 64 to 1,048,576; default 4,096 */
  uint32_t input_frames_max;     /* frames handed in and not yet processed; default 1,024 */
  uint32_t output_frames_max;    /* frames waiting to be taken if output is NULL; default 1,024 */
  sluice_output_function output; /* default NULL: frames wait until the program takes them */
  sluice_clock_function clock;   /* default NULL: the system's monotonic clock */
  void* user;                    /* handed to both functions */
};

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_CALLBACK_H_ */
