/* Starting, driving and ending Sluice in a program. The socket calls are in <sluice/sluice.h>.
 *
 * A process has at most one instance at a time; it may end one and start the next. What the instance
 * is made of (ports, addresses, routes, limits) is a configuration in YAML, described in
 * sluice.yaml(5). Who runs it is its home:
 *
 *   inline   Whoever waits in a call of Sluice runs the engine meanwhile; a thread of Sluice's looks
 *            after it when the program is busy elsewhere. A program with an event loop of its own
 *            calls sluice_poll or sluice_wait. The default.
 *   threads  Sluice starts one thread for each engine; calls only move data.
 *   manual   Nothing happens except in sluice_poll, and time is what the program says it is. With
 *            callback ports (<sluice/callback.h>) this needs no DPDK environment, no thread, no
 *            privilege and no clock: test harnesses and simulators drive Sluice so.
 *
 *   char error[256];
 *   if (sluice_init(yaml, error, sizeof error) != 0) { fprintf(stderr, "%s\n", error); exit(2); }
 *   int listener = sluice_socket(AF_INET6, SOCK_STREAM, 0);
 *   ...
 *   sluice_shutdown();
 *
 * Functions that fail return -1 and set errno, unless they say otherwise. All may be called from any
 * thread, except that sluice_init and sluice_shutdown must not run beside any other call. */
#ifndef SLUICE_INSTANCE_H
#define SLUICE_INSTANCE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Nanoseconds from an epoch of the program's choosing; must never go back. */
typedef int64_t (*sluice_clock)(void* context);

/* `size` is sizeof(struct sluice_settings): members may be added at the end in later versions. A
 * member that is zero has its default. */
struct sluice_settings {
  size_t size;
  const char* yaml;      /* configuration text; NULL: what `file` holds */
  const char* file;      /* path of a configuration file; NULL too: what the environment says */
  sluice_clock clock;    /* manual home: the time. NULL: sluice_advance_to sets it, from 0 on */
  void* clock_context;   /* handed to `clock` */
  uint64_t seed;         /* manual home: of all that is random. 0: drawn from the kernel */
};
#define SLUICE_SETTINGS_INITIALIZER \
  { sizeof(struct sluice_settings), NULL, NULL, NULL, NULL, 0 }

/* Starts the instance. `yaml` is the configuration; NULL takes the one that the environment names:
 * SLUICE_CONFIG (a file's path) or SLUICE_CONFIG_INLINE (the text itself). If it fails, `error`
 * (unless NULL) receives one line that says what to do, and nothing is left behind.
 * EBUSY: an instance runs already. EINVAL: the configuration is wrong. ENODEV, EPERM, ENOMEM: a port
 * is missing, a privilege, memory. */
int sluice_init(const char* yaml, char* error, size_t error_size);
int sluice_init_settings(const struct sluice_settings* settings, char* error, size_t error_size);

/* Ends the instance: resets the connections that are still open, closes ports, ends Sluice's threads,
 * frees everything. Descriptors of Sluice that are still open become invalid. Calls that block in
 * other threads must have returned. */
void sluice_shutdown(void);

/* Whether an instance runs. */
int sluice_is_running(void);

/* Runs the engines once: packets in, timers, packets out; never sleeps. Returns 1 if there was work,
 * 0 if there was none. In the threads home it does nothing. */
int sluice_poll(void);

/* When sluice_poll has work to do next without a packet or a call (a timer), in the time of
 * sluice_now_ns; INT64_MAX: never. A value not later than now means at once. */
int64_t sluice_next_deadline_ns(void);

/* The time that timers run by: the machine's monotonic clock, or the program's in the manual home. */
int64_t sluice_now_ns(void);

/* Manual home without a clock: sets the time. EINVAL: it would go back, or there is a clock. Timers
 * that are due then run in the next sluice_poll. */
int sluice_advance_to(int64_t now_ns);

/* Sleeps until something may have happened on any socket, or timeout_ns nanoseconds have passed (-1:
 * no limit), running the engine meanwhile where the home lets callers do so. Returns 1 if something
 * may have happened, 0 after the time. EINTR: a signal handler ran. */
int sluice_wait(int64_t timeout_ns);

/* The version of the library, "major.minor.patch". */
const char* sluice_version(void);

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_INSTANCE_H */
