/* A disk that fails, for a process that has this library preloaded (LD_PRELOAD).
 *
 * From the n-th call of one kind on, calls on files whose path matches a pattern fail with an error: as a full disk, or
 * a broken one, answers. A write that fails first takes half of what it is given, as a disk does that fills up.
 * What fails is set by `fail_disk`, or for programs of their own by the environment: FAILING_DISK holds errno, n, kind,
 * the file in which the first failure is noted, and the pattern, with tabs between.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FILES = 65536, TEXT = 4096 };

static char pattern[TEXT], kind[16], note[TEXT];
static int error;
static long from, calls;
static char matched[FILES]; /* which descriptors are of files that match */
static char halved[FILES];  /* which have had a write cut in half */

void fail_disk(int with, long nth, const char *what, const char *told, const char *paths) {
    error = with, from = nth, calls = 0;
    snprintf(kind, sizeof kind, "%s", what);
    snprintf(note, sizeof note, "%s", told);
    snprintf(pattern, sizeof pattern, "%s", paths);
}

__attribute__((constructor)) static void from_environment(void) {
    const char *given = getenv("FAILING_DISK");
    if (given == NULL) return;
    int with, end = 0;
    long nth;
    char what[16], told[TEXT];
    if (sscanf(given, "%d\t%ld\t%15[^\t]\t%4095[^\t]\t%n", &with, &nth, what, told, &end) == 4 && end)
        fail_disk(with, nth, what, told, given + end);
}

static int matches(const char *path) { return *pattern && path && fnmatch(pattern, path, FNM_PATHNAME) == 0; }

static int is_of(int file) { return file >= 0 && file < FILES && matched[file]; }

/* Whether this call of a kind, on a file that matches, is to fail. */
static int fails(const char *what) {
    if (strcmp(what, kind) != 0 || __sync_add_and_fetch(&calls, 1) < from) return 0;
    int file = (int)syscall(SYS_openat, AT_FDCWD, note, O_WRONLY | O_CREAT, 0666);
    if (file >= 0) syscall(SYS_close, file);
    errno = error;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int opened(int file, int found) {
    if (file >= 0 && file < FILES) matched[file] = (char)found, halved[file] = 0;
    return file;
}

#define OPEN(name, PARAMETERS, GIVEN, PATH)                                     \
    int name PARAMETERS {                                                       \
        mode_t mode = 0;                                                        \
        if (flags & (O_CREAT | __O_TMPFILE)) {                                  \
            va_list rest;                                                       \
            va_start(rest, flags);                                              \
            mode = va_arg(rest, mode_t);                                        \
            va_end(rest);                                                       \
        }                                                                       \
        int found = (flags & (O_WRONLY | O_RDWR)) && matches(PATH);             \
        if (found && fails("open")) return -1;                                  \
        return opened(REAL(name) GIVEN, found);                                 \
    }
OPEN(open, (const char *path, int flags, ...), (path, flags, mode), path)
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), path)
OPEN(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode), path)
OPEN(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode), path)

/* Half of a write of `size` bytes that is to fail: how much, or -1 where there has been half a write before. */
static ssize_t half(int file, size_t size) {
    if (halved[file] || size < 2) return -1;
    halved[file] = 1;
    return (ssize_t)(size / 2);
}

ssize_t write(int file, const void *data, size_t size) {
    if (is_of(file) && fails("write")) {
        ssize_t some = half(file, size);
        if (some < 0) return -1;
        size = (size_t)some;
    }
    return REAL(write)(file, data, size);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    return is_of(file) && fails("write") ? -1 : REAL(writev)(file, parts, count);
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t place) {
    return is_of(file) && fails("write") ? -1 : REAL(pwrite64)(file, data, size, place);
}

ssize_t sendfile64(int file, int source, off64_t *place, size_t size) {
    return is_of(file) && fails("write") ? -1 : REAL(sendfile64)(file, source, place, size);
}

ssize_t sendfile(int file, int source, off_t *place, size_t size) {
    return is_of(file) && fails("write") ? -1 : REAL(sendfile)(file, source, place, size);
}

ssize_t copy_file_range(int source, off64_t *a, int file, off64_t *b, size_t size, unsigned flags) {
    return is_of(file) && fails("write") ? -1 : REAL(copy_file_range)(source, a, file, b, size, flags);
}

int fsync(int file) { return is_of(file) && fails("fsync") ? -1 : REAL(fsync)(file); }

int fdatasync(int file) { return is_of(file) && fails("fsync") ? -1 : REAL(fdatasync)(file); }

int ftruncate64(int file, off64_t size) {
    return is_of(file) && fails("truncate") ? -1 : REAL(ftruncate64)(file, size);
}

int close(int file) { /* closed in any case, as the kernel does it */
    int found = is_of(file);
    if (found) matched[file] = 0;
    int status = REAL(close)(file);
    return found && fails("close") ? -1 : status;
}

int rename(const char *before, const char *after) {
    return matches(after) && fails("rename") ? -1 : REAL(rename)(before, after);
}
