/* Starting, driving and ending Sluice in a program. The socket calls are in <sluice/sluice.h>.
 *
 * A process has at most one instance at a time; it may end one and start the next. What the
 * instance is made of (interfaces, addresses, routes, limits) is a configuration in YAML, described
 * in sluice.yaml(5). Its key `progress` says who runs the engines:
 *
 *   inline   Whoever waits in a call of Sluice does meanwhile; a thread of Sluice's looks after
 * them
 *            when the program is busy elsewhere. A program with an event loop of its own calls
 *            sluice_poll or sluice_wait. The default.
 *   threads  Sluice starts one thread for each engine; calls only move data.
 *   manual   Nobody but sluice_poll, and time is what the program says it is. With ports of the
 *            program's own (<sluice/callback.h>) this needs no DPDK environment, no thread, no
 *            privilege and no clock: test harnesses and simulators drive Sluice so.
 *
 *   char error[256];
 *   if (sluice_init(yaml, error, sizeof error) != 0) { fprintf(stderr, "%s\n", error); exit(2); }
 *   int listener = sluice_socket(AF_INET6, SOCK_STREAM, 0);
 *   ...
 *   sluice_finish();
 *
 * Functions that fail return -1 and set errno, unless they say otherwise. All may be called from
 * any thread, except that sluice_init and sluice_finish must not run beside any other call. */
#ifndef SLUICE_INSTANCE_H_
#define SLUICE_INSTANCE_H_

#include <sluice/callback.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef SLUICE_API
#define SLUICE_API __attribute__((visibility("default")))
#endif

/* A port of the program's own: an interface of this name in the configuration, whose `device` is
 * "callback", runs over it. */
struct sluice_callback_port {
  const char* interface;
  struct sluice_callback_config config;
};

/* `size` is sizeof(struct sluice_settings): members may be added at the end in later versions. A
 * member that is zero has its default. */
struct sluice_settings {
  size_t size;
  const char* yaml; /* configuration text; NULL: what `file` holds */
  const char* file; /* path of a configuration file; NULL too: what the environment says */
  const struct sluice_callback_port* ports; /* a port's number is its place here */
  size_t port_count;
  /* progress: manual. The time, in nanoseconds since any moment, never decreasing; it must not call
   * Sluice. NULL: sluice_advance_to sets it, from 0 on. */
  sluice_clock_function clock;
  void* clock_argument; /* handed to `clock` */
  uint64_t seed;        /* of all that is random, for runs that can be repeated; 0: the kernel's */
};
#define SLUICE_SETTINGS_INITIALIZER \
  { sizeof(struct sluice_settings), NULL, NULL, NULL, 0, NULL, NULL, 0 }

/* Starts the instance. `yaml` is the configuration; NULL takes the one that the environment names:
 * SLUICE_CONFIG (a file's path) or SLUICE_CONFIG_INLINE (the text itself). If it fails, `error`
 * (unless NULL) receives one line that says what to do, and nothing is left behind.
 * EBUSY: an instance runs already. EINVAL: the configuration is wrong. ENODEV, EACCES, ENOMEM: a
 * device is missing, a privilege, memory. */
SLUICE_API int sluice_init(const char* yaml, char* error, size_t error_size);
SLUICE_API int sluice_init_settings(const struct sluice_settings* settings, char* error,
                                    size_t error_size);

/* Ends the instance: closes what is still open as a process that ends does, sends what waits (for
 * at most two seconds; with progress: manual in one turn), ends Sluice's threads and frees
 * everything. Calls that block in other threads must have returned. */
SLUICE_API void sluice_finish(void);

/* Whether an instance runs. */
SLUICE_API int sluice_is_running(void);

/* Runs the engines once: packets in, timers, packets out; never sleeps. Then runs callbacks that
 * are due (sluice_set_callback). Returns 1 if there was work, 0 if there was none. With progress:
 * threads it only runs callbacks. */
SLUICE_API int sluice_poll(void);

/* When sluice_poll has something to do next without a packet or a call (a timer, or the time-out of
 * a blocked thread), in the time of sluice_now_ns. A value not later than now means at once;
 * INT64_MAX: never. With progress: threads always never. */
SLUICE_API int64_t sluice_next_deadline_ns(void);

/* The time that timers run by: the machine's monotonic clock, or with progress: manual the
 * program's. */
SLUICE_API int64_t sluice_now_ns(void);

/* progress: manual, without a clock: sets the time. Timers that are due then run in the next
 * sluice_poll. EINVAL: the time would go back, or is not the program's to set. */
SLUICE_API int sluice_advance_to(int64_t now_ns);

/* Sleeps until something may have happened on any socket, or `timeout_ns` nanoseconds have passed
 * (-1: no limit), running the engines meanwhile where callers do. Returns 1 if something may have
 * happened, 0 after the time. EINTR: a signal handler ran. */
SLUICE_API int sluice_wait(int64_t timeout_ns);

/* Ports of the program's own, by number. */

/* Hands in one frame that arrived; the bytes are copied and processed by the next turn. EAGAIN: too
 * many wait already. EMSGSIZE: longer than the port's MTU, or too short to be a frame. EINVAL: no
 * such port. */
SLUICE_API int sluice_port_input(unsigned port, const void* frame, size_t frame_bytes);

/* Takes the oldest transmitted frame of a port without an output function. Returns its length, of
 * which at most `room` bytes were copied; 0: none waits. EINVAL: no such port. */
SLUICE_API ssize_t sluice_port_output(unsigned port, void* frame, size_t room);

/* Says whether the link is up (it is at first). EINVAL: no such port. */
SLUICE_API int sluice_port_set_link(unsigned port, int up);

/* The version of the library, "major.minor.patch". */
SLUICE_API const char* sluice_version(void);

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_INSTANCE_H_ */
