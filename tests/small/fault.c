/* Something goes wrong at the Nth call of a process: it is killed or stopped there, or the call fails.
 *
 * Preloaded into one command. Counted, over all threads, are the calls by which a program changes files (class "change") or
 * reads them ("read"); pipes, sockets and terminals do not count. By environment:
 *   FAULT=CLASS:N:ACTION   ACTION is kill, stop, fail=ERRNO (that one call), full=ERRNO (that call and all that need room
 *                          after it), short (a write writes half of its bytes), or none
 *   FAULT_PATH=TEXT        only calls on paths that contain it are counted
 *   FAULT_LOG=FILE         a line for each counted call: its number, its name, its path (or the link of its descriptor)
 * Bytes are not brought to the disk: a process dies here, not the machine, and waiting for disks is most of a small build.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum class { CHANGE, READ };
enum need { ROOM, NO_ROOM };

static atomic_long count;
static long at;
static enum class class;
static enum { NONE, KILL, STOP, FAIL, FULL, SHORT } action;
static int error;
static int log_fd = -1;
static const char *only;

__attribute__((constructor)) static void start(void) {
  const char *fault = getenv("FAULT"), *log = getenv("FAULT_LOG");
  char name[16], what[16];
  only = getenv("FAULT_PATH");
  if (log) log_fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  if (!fault) return;
  if (sscanf(fault, "%15[a-z]:%ld:%15[a-z]=%d", name, &at, what, &error) < 3) _exit(70);
  class = strcmp(name, "read") ? CHANGE : READ;
  action = !strcmp(what, "kill")    ? KILL
           : !strcmp(what, "stop")  ? STOP
           : !strcmp(what, "fail")  ? FAIL
           : !strcmp(what, "full")  ? FULL
           : !strcmp(what, "short") ? SHORT
                                    : NONE;
}

/* Counts a call; returns 0 if it is to be made, else the error it fails with, or -1 if it is to be cut short. */
static int due(enum class of, enum need need, const char *name, const char *path, int fd) {
  if (of != class) return 0;
  char link[64], target[512] = "", line[800];
  if (!path && (only || log_fd >= 0)) {
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, target, sizeof target - 1);
    target[length > 0 ? length : 0] = 0;
    path = target;
  }
  if (only && !strstr(path, only)) return 0;
  long n = atomic_fetch_add(&count, 1) + 1;
  if (log_fd >= 0) {
    int length = snprintf(line, sizeof line, "%ld %s %s\n", n, name, path);
    syscall(SYS_write, log_fd, line, length);
  }
  if (action == FULL && n >= at && need == ROOM) return error;
  if (n != at) return 0;
  switch (action) {
  case KILL:
    kill(getpid(), SIGKILL);
    for (;;) pause();
  case STOP: kill(getpid(), SIGSTOP); return 0;
  case FAIL: return error;
  case SHORT: return -1;
  default: return 0;
  }
}

static int is_file(int fd) {
  struct stat stat;
  return fd > 2 && fd != log_fd && !fstat(fd, &stat) && S_ISREG(stat.st_mode);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAILS(...)                                                                                                             \
  do {                                                                                                                         \
    int saved = errno, fault = due(__VA_ARGS__);                                                                               \
    if (fault > 0) {                                                                                                           \
      errno = fault;                                                                                                           \
      return -1;                                                                                                               \
    }                                                                                                                          \
    errno = saved;                                                                                                             \
  } while (0)

#define OPEN(name)                                                                                                             \
  int name(const char *path, int flags, ...) {                                                                                 \
    va_list list;                                                                                                              \
    va_start(list, flags);                                                                                                     \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;                                                    \
    va_end(list);                                                                                                              \
    if (flags & (O_CREAT | O_TRUNC)) FAILS(CHANGE, ROOM, "open", path, -1);                                                    \
    else FAILS(READ, NO_ROOM, "open", path, -1);                                                                               \
    return REAL(name)(path, flags, mode);                                                                                      \
  }
OPEN(open)
OPEN(open64)

#define WRITE(name, parameters, arguments, half)                                                                               \
  ssize_t name parameters {                                                                                                    \
    if (!is_file(fd)) return REAL(name) arguments;                                                                             \
    int fault = due(CHANGE, ROOM, #name, NULL, fd);                                                                            \
    if (fault > 0) {                                                                                                           \
      errno = fault;                                                                                                           \
      return -1;                                                                                                               \
    }                                                                                                                          \
    return fault < 0 && size > 1 ? REAL(name) half : REAL(name) arguments;                                                     \
  }
WRITE(write, (int fd, const void *bytes, size_t size), (fd, bytes, size), (fd, bytes, size / 2))
WRITE(pwrite64, (int fd, const void *bytes, size_t size, off64_t to), (fd, bytes, size, to), (fd, bytes, size / 2, to))

ssize_t read(int fd, void *bytes, size_t size) {
  if (is_file(fd)) FAILS(READ, NO_ROOM, "read", NULL, fd);
  return REAL(read)(fd, bytes, size);
}
ssize_t pread64(int fd, void *bytes, size_t size, off64_t from) {
  if (is_file(fd)) FAILS(READ, NO_ROOM, "pread64", NULL, fd);
  return REAL(pread64)(fd, bytes, size, from);
}
int mkdir(const char *path, mode_t mode) {
  FAILS(CHANGE, ROOM, "mkdir", path, -1);
  return REAL(mkdir)(path, mode);
}
int rename(const char *from, const char *to) {
  char both[640];
  snprintf(both, sizeof both, "%s -> %s", from, to);
  FAILS(CHANGE, ROOM, "rename", both, -1);
  return REAL(rename)(from, to);
}
int unlink(const char *path) {
  FAILS(CHANGE, NO_ROOM, "unlink", path, -1);
  return REAL(unlink)(path);
}
int chmod(const char *path, mode_t mode) {
  FAILS(CHANGE, NO_ROOM, "chmod", path, -1);
  return REAL(chmod)(path, mode);
}
int fchmod(int fd, mode_t mode) {
  FAILS(CHANGE, NO_ROOM, "fchmod", NULL, fd);
  return REAL(fchmod)(fd, mode);
}
int ftruncate64(int fd, off64_t size) {
  FAILS(CHANGE, ROOM, "ftruncate64", NULL, fd);
  return REAL(ftruncate64)(fd, size);
}
int fsync(int fd) {
  FAILS(CHANGE, ROOM, "fsync", NULL, fd);
  return 0;
}
