/* An ordinary program: nothing here knows of Sluice. The tests run it under the preload library
 * with loopback given to Sluice, one case at a time; "kernel" as second argument says that the
 * sockets must be the kernel's. It ends with status 0 if all was as POSIX and Linux say. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;
static int expects_kernel;

#define CHECK(condition)                                                                \
  do {                                                                                  \
    if (!(condition)) {                                                                 \
      fprintf(stderr, "line %d: not so: %s (errno %d)\n", __LINE__, #condition, errno); \
      _exit(1);                                                                         \
    }                                                                                   \
  } while (0)

/* Whether the kernel's table holds a listener on this port. */
static int KernelListens(unsigned port) {
  char line[512], wanted[32];
  FILE* table = fopen("/proc/self/net/tcp", "r");
  int found = 0;
  CHECK(table != NULL);
  snprintf(wanted, sizeof wanted, ":%04X 00000000:0000 0A", port);
  while (fgets(line, sizeof line, table) != NULL) found |= strstr(line, wanted) != NULL;
  fclose(table);
  return found;
}

struct pair {
  int listener, client, server;
};

static struct pair Connect(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  struct pair p;
  p.listener = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(p.listener >= 0);
  CHECK(bind(p.listener, (struct sockaddr*)&address, sizeof address) == 0);
  CHECK(listen(p.listener, 4) == 0);
  CHECK(getsockname(p.listener, (struct sockaddr*)&address, &length) == 0);
  CHECK(KernelListens(ntohs(address.sin_port)) == expects_kernel);
  p.client = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(connect(p.client, (struct sockaddr*)&address, sizeof address) == 0);
  p.server = accept4(p.listener, NULL, NULL, SOCK_CLOEXEC);
  CHECK(p.server >= 0);
  return p;
}

static void Exchange(struct pair p) {
  char byte = 'a';
  CHECK(write(p.client, &byte, 1) == 1);
  byte = 0;
  CHECK(read(p.server, &byte, 1) == 1 && byte == 'a');
}

/* Lengths that the compiler cannot know make it call the fortified variants. */
static volatile size_t kSize = 8;

static void Data(void) {
  struct pair p = Connect();
  char in[8];
  struct iovec out_pieces[2] = {{"ab", 2}, {"cd", 2}}, in_pieces[2] = {{in, 1}, {in + 1, 7}};
  struct msghdr message = {.msg_iov = out_pieces, .msg_iovlen = 2};
  struct sockaddr_in peer;
  socklen_t length = sizeof peer;
  CHECK(send(p.client, "ab", 2, 0) == 2 && recv(p.server, in, kSize, 0) == 2);
  CHECK(sendto(p.client, "ab", 2, 0, NULL, 0) == 2);
  CHECK(recvfrom(p.server, in, kSize, 0, (struct sockaddr*)&peer, &length) == 2);
  CHECK(write(p.client, "ab", 2) == 2 && read(p.server, in, kSize) == 2);
  CHECK(writev(p.client, out_pieces, 2) == 4 && readv(p.server, in_pieces, 2) == 4);
  CHECK(memcmp(in, "abcd", 4) == 0);
  CHECK(sendmsg(p.client, &message, 0) == 4);
  message.msg_iov = in_pieces;
  CHECK(recvmsg(p.server, &message, 0) == 4);
  CHECK(lseek(p.server, 0, SEEK_CUR) == -1 && errno == ESPIPE);
  CHECK(pread(p.server, in, 1, 0) == -1 && errno == ESPIPE);
  int file = memfd_create("file", 0);
  CHECK(write(file, "from a file", 11) == 11);
  off_t offset = 5;
  CHECK(sendfile(p.server, file, &offset, 6) == 6 && offset == 11);
  CHECK(recv(p.client, in, kSize, 0) == 6 && memcmp(in, "a file", 6) == 0);
  struct stat status;
  CHECK(fstat(p.client, &status) == 0 && S_ISSOCK(status.st_mode));
  int waiting = -1;
  CHECK(send(p.client, "abc", 3, 0) == 3 && recv(p.server, in, 1, MSG_PEEK) == 1);
  CHECK(ioctl(p.server, FIONREAD, &waiting) == 0 && waiting == 3);
}

static void Wait(void) {
  struct pair p = Connect();
  int pipes[2];
  CHECK(pipe(pipes) == 0);
  struct pollfd set[2] = {{p.server, POLLIN, 0}, {pipes[0], POLLIN, 0}};
  struct timespec none = {0, 0};
  volatile nfds_t count = 2;
  CHECK(poll(set, count, 0) == 0 && ppoll(set, count, &none, NULL) == 0);
  CHECK(write(pipes[1], "x", 1) == 1);
  CHECK(poll(set, count, 5000) == 1 && set[1].revents == POLLIN);
  CHECK(send(p.client, "x", 1, 0) == 1);
  while (poll(set, count, 5000) != 2) CHECK(set[0].revents | set[1].revents);
  fd_set reads;
  FD_ZERO(&reads);
  FD_SET(p.server, &reads);
  FD_SET(pipes[0], &reads);
  CHECK(select(64, &reads, NULL, NULL, NULL) == 2);
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = 1}, events[4];
  CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, p.server, &event) == 0);
  event.data.u32 = 2;
  CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[0], &event) == 0);
  CHECK(epoll_wait(epoll, events, 4, 5000) == 2);
  CHECK(epoll_ctl(epoll, EPOLL_CTL_DEL, p.server, NULL) == 0);
  CHECK(epoll_pwait(epoll, events, 4, 0, NULL) == 1 && events[0].data.u32 == 2);
}

static void Copies(void) {
  struct pair p = Connect();
  int copy = dup(p.client), third = fcntl(p.client, F_DUPFD_CLOEXEC, 100);
  CHECK(copy >= 0 && third >= 100 && (fcntl(third, F_GETFD) & FD_CLOEXEC));
  CHECK(dup2(p.client, 90) == 90 && dup3(p.client, 91, O_CLOEXEC) == 91);
  CHECK(close(p.client) == 0 && close(copy) == 0 && close(third) == 0 && close(91) == 0);
  p.client = 90;
  Exchange(p);
  CHECK(fcntl(p.client, F_SETFL, O_NONBLOCK) == 0 && (fcntl(p.client, F_GETFL) & O_NONBLOCK));
  char byte;
  CHECK(read(p.client, &byte, 1) == -1 && errno == EAGAIN);
  int file = open("/dev/null", O_RDWR);
  CHECK(dup2(file, p.client) == p.client); /* the last copy is gone: the peer sees the end */
  CHECK(read(p.server, &byte, 1) == 0);
  CHECK(write(p.client, "x", 1) == 1);
}

static void Stdio(void) {
  struct pair p = Connect();
  FILE* out = fdopen(p.client, "w");
  FILE* in = fdopen(p.server, "r");
  char line[64];
  CHECK(out != NULL && in != NULL && fileno(out) == p.client);
  CHECK(fprintf(out, "%s %d\n", "line", 1) == 7 && fflush(out) == 0);
  CHECK(fgets(line, sizeof line, in) != NULL && strcmp(line, "line 1\n") == 0);
  CHECK(dprintf(p.client, "line %d\n", 2) == 7);
  CHECK(fgets(line, sizeof line, in) != NULL && strcmp(line, "line 2\n") == 0);
  CHECK(fclose(out) == 0);
  CHECK(fgets(line, sizeof line, in) == NULL && feof(in));
  CHECK(fclose(in) == 0);
}

/* A daemon closes whatever it finds; Sluice's own descriptors must survive that. */
static void CloseAll(void) {
  Connect();
  for (int fd = 3; fd < 2048; ++fd) close(fd);
  Exchange(Connect());
  closefrom(3);
  Exchange(Connect());
  CHECK(close_range(3, ~0u, 0) == 0);
  Exchange(Connect());
}

static int ExitStatus(pid_t pid) {
  int status;
  CHECK(waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Children that exec leave the parent's sockets alone, and have the kernel's themselves. */
static void Children(const char* self) {
  struct pair p = Connect();
  char* arguments[] = {(char*)self, "data", "kernel", NULL};
  pid_t pid = fork();
  if (pid == 0) {
    for (int fd = 3; fd < 256; ++fd) close(fd);
    execv(self, arguments);
    _exit(1);
  }
  CHECK(ExitStatus(pid) == 0);
  Exchange(p);
  pid = vfork();
  if (pid == 0) {
    close(p.client);
    close_range(3, ~0u, 0);
    execv(self, arguments);
    _exit(1);
  }
  CHECK(ExitStatus(pid) == 0);
  Exchange(p);
  /* With an environment that does not say who owns the configuration. */
  char* given[64];
  size_t count = 0;
  for (char** setting = environ; *setting != NULL && count < 63; ++setting) {
    if (strncmp(*setting, "SLUICE_OWNER=", 13) != 0) given[count++] = *setting;
  }
  given[count] = NULL;
  CHECK(posix_spawn(&pid, self, NULL, NULL, arguments, given) == 0);
  CHECK(ExitStatus(pid) == 0);
  FILE* shell = popen("echo said", "r");
  char line[16];
  CHECK(fgets(line, sizeof line, shell) != NULL && strcmp(line, "said\n") == 0);
  CHECK(pclose(shell) == 0 && system("exit 3") == 3 << 8);
  Exchange(p);
}

/* A child that goes on using inherited sockets is told that it cannot. */
static void Inherited(void) {
  struct pair p = Connect();
  int errors[2];
  char text[512] = "";
  CHECK(pipe(errors) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    CHECK(dup2(errors[1], STDERR_FILENO) == STDERR_FILENO);
    int failed = write(p.client, "x", 1) == -1 && errno == EOPNOTSUPP;
    failed = failed && close(p.client) == 0;
    int fresh = socket(AF_INET, SOCK_STREAM, 0); /* the kernel's */
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t length = sizeof any;
    failed = failed && bind(fresh, (struct sockaddr*)&any, sizeof any) == 0;
    failed = failed && listen(fresh, 1) == 0;
    failed = failed && getsockname(fresh, (struct sockaddr*)&any, &length) == 0;
    _exit(failed && KernelListens(ntohs(any.sin_port)) ? 0 : 1);
  }
  close(errors[1]);
  CHECK(ExitStatus(pid) == 0);
  CHECK(read(errors[0], text, sizeof text - 1) > 0);
  CHECK(strstr(text, "sluice: ") == text && strchr(text, '\n') == text + strlen(text) - 1);
  Exchange(p);
}

static void* Read(void* argument) {
  char byte;
  return (void*)(intptr_t)read(*(int*)argument, &byte, 1);
}

/* close wakes who waits, and SIGPIPE is raised. */
static void Endings(void) {
  struct pair p = Connect();
  pthread_t thread;
  void* result;
  CHECK(pthread_create(&thread, NULL, Read, &p.server) == 0);
  CHECK(shutdown(p.client, SHUT_WR) == 0);
  CHECK(pthread_join(thread, &result) == 0 && result == NULL);
  signal(SIGPIPE, SIG_IGN);
  CHECK(close(p.server) == 0);
  while (send(p.client, "x", 1, 0) == 1) usleep(1000);
  CHECK(errno == EPIPE || errno == ECONNRESET);
}

int main(int argc, char** argv) {
  const char* name = argc > 1 ? argv[1] : "";
  expects_kernel = argc > 2 && strcmp(argv[2], "kernel") == 0;
  alarm(60);
  if (strcmp(name, "data") == 0)
    Data();
  else if (strcmp(name, "wait") == 0)
    Wait();
  else if (strcmp(name, "copies") == 0)
    Copies();
  else if (strcmp(name, "stdio") == 0)
    Stdio();
  else if (strcmp(name, "close_all") == 0)
    CloseAll();
  else if (strcmp(name, "children") == 0)
    Children(argv[0]);
  else if (strcmp(name, "inherited") == 0)
    Inherited();
  else if (strcmp(name, "endings") == 0)
    Endings();
  else
    return 2;
  return 0;
}
