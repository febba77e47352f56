/* A disk that fails on command, between a process and its C library (LD_PRELOAD); see faultfs.py.
 *
 * FAULTFS holds one fault a line, "call part number nth times": calls of that name on paths that contain the part fail
 * from the nth one of this process on, so many times, with this errno; or, where the number is negative, take so many
 * milliseconds longer. A part that ends in "$" is how the path ends. What a descriptor leads to is asked of /proc/self/fd. Each time a fault strikes, the name of its
 * call is added to the file FAULTFS_LOG as a line.
 *
 * "mmap" does not fail: it maps what cannot be read, so that looking at it is a SIGBUS, as it is where the disk fails
 * under a mapping.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct fault {
    char call[24], part[128];
    int number;
    long nth, times, seen;
};

static struct fault faults[8];
static int count;

__attribute__((constructor)) static void read_faults(void) {
    const char *line = getenv("FAULTFS");
    while (line && *line && count < 8) {
        struct fault *f = &faults[count];
        if (sscanf(line, "%23s %127s %d %ld %ld", f->call, f->part, &f->number, &f->nth, &f->times) == 5) count++;
        line = strchr(line, '\n');
        if (line) line++;
    }
}

static void report(const char *call) {
    const char *log = getenv("FAULTFS_LOG");
    char line[32];
    int fd, length = snprintf(line, sizeof line, "%s\n", call);
    if (!log || (fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) < 0) return;
    if (syscall(SYS_write, fd, line, length) < 0) { /* what the test asserts is missing then */ }
    syscall(SYS_close, fd);
}

static int fits(const char *path, const char *part) {
    size_t length = strlen(path), wanted = strlen(part);
    if (!wanted || part[wanted - 1] != '$') return strstr(path, part) != NULL;
    return --wanted <= length && !strncmp(path + length - wanted, part, wanted);
}

/* The errno that this call is to fail with; 0: none. */
static int strikes(const char *call, const char *path) {
    for (int i = 0; i < count; i++) {
        struct fault *f = &faults[i];
        if (strcmp(f->call, call) || !fits(path, f->part)) continue;
        long seen = __atomic_add_fetch(&f->seen, 1, __ATOMIC_RELAXED);
        if (seen < f->nth || seen >= f->nth + f->times) continue;
        report(call);
        if (f->number > 0) return f->number;
        struct timespec pause = {-f->number / 1000, -f->number % 1000 * 1000000L};
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int strikes_fd(const char *call, int fd) {
    char link[32], path[4096];
    if (!count || fd < 0) return 0;
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    errno = before;
    if (length < 0) return 0;
    path[length] = 0;
    return strikes(call, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL_IF(expression) \
    do { \
        int number_ = (expression); \
        if (number_) { errno = number_; return -1; } \
    } while (0)

#define ON_FD(kind, name, fault, parameters, ...) \
    kind name parameters { \
        FAIL_IF(strikes_fd(fault, fd)); \
        return REAL(name)(__VA_ARGS__); \
    }

ON_FD(ssize_t, pwrite, "pwrite", (int fd, const void *data, size_t n, off_t at), fd, data, n, at)
ON_FD(ssize_t, pwrite64, "pwrite", (int fd, const void *data, size_t n, off64_t at), fd, data, n, at)
ON_FD(ssize_t, write, "write", (int fd, const void *data, size_t n), fd, data, n)
ON_FD(ssize_t, preadv, "pread", (int fd, const struct iovec *v, int n, off_t at), fd, v, n, at)
ON_FD(ssize_t, preadv64, "pread", (int fd, const struct iovec *v, int n, off64_t at), fd, v, n, at)
ON_FD(ssize_t, preadv2, "pread", (int fd, const struct iovec *v, int n, off_t at, int f), fd, v, n, at, f)
ON_FD(ssize_t, preadv64v2, "pread", (int fd, const struct iovec *v, int n, off64_t at, int f), fd, v, n, at, f)
ON_FD(int, fsync, "fsync", (int fd), fd)
ON_FD(int, fdatasync, "fdatasync", (int fd), fd)
ON_FD(int, ftruncate, "ftruncate", (int fd, off_t size), fd, size)
ON_FD(int, ftruncate64, "ftruncate", (int fd, off64_t size), fd, size)
ON_FD(int, flock, "flock", (int fd, int how), fd, how)

/* These two return the number instead of setting errno. */
int posix_fallocate(int fd, off_t at, off_t n) {
    int number = strikes_fd("posix_fallocate", fd);
    return number ? number : REAL(posix_fallocate)(fd, at, n);
}

int posix_fallocate64(int fd, off64_t at, off64_t n) {
    int number = strikes_fd("posix_fallocate", fd);
    return number ? number : REAL(posix_fallocate64)(fd, at, n);
}

/* A descriptor is gone whatever close says (close(2)). */
int close(int fd) {
    int number = strikes_fd("close", fd);
    int done = REAL(close)(fd);
    FAIL_IF(number);
    return done;
}

int link(const char *old, const char *new) {
    FAIL_IF(strikes("link", new));
    return REAL(link)(old, new);
}

int linkat(int at, const char *old, int to, const char *new, int flags) {
    FAIL_IF(strikes("link", new));
    return REAL(linkat)(at, old, to, new, flags);
}

int ioctl(int fd, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    FAIL_IF(strikes_fd("ioctl", fd));
    return REAL(ioctl)(fd, request, argument);
}

int rename(const char *old, const char *new) {
    FAIL_IF(strikes("rename", old));
    return REAL(rename)(old, new);
}

static int unreadable(int fd) {
    if (!strikes_fd("mmap", fd)) return -1;
    return syscall(SYS_memfd_create, "unreadable", 0);
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset) {
    int empty = unreadable(fd);
    if (empty < 0) return REAL(mmap)(at, n, protection, flags, fd, offset);
    void *pages = REAL(mmap)(at, n, protection, flags, empty, 0);
    syscall(SYS_close, empty);
    return pages;
}

void *mmap64(void *at, size_t n, int protection, int flags, int fd, off64_t offset) {
    int empty = unreadable(fd);
    if (empty < 0) return REAL(mmap64)(at, n, protection, flags, fd, offset);
    void *pages = REAL(mmap64)(at, n, protection, flags, empty, 0);
    syscall(SYS_close, empty);
    return pages;
}
