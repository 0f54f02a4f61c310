/* What tests/benches/chain runs: the far end, a line that takes time, and clients of a SOCKS5 port.
 *
 *   chain target PORT                          a byte says what is wanted: D and 8 bytes: so many bytes, and the end;
 *                                              U and 8 bytes: reads so many, then one byte; E: what comes goes back
 *   chain line PORT TO MS                      forwards, and each byte arrives MS later
 *   chain copy PORT TO [socks]                 forwards at once; with `socks` to TO whatever is asked for
 *   chain down|up SOCKS TARGET BYTES STREAMS   seconds for all
 *   chain connects SOCKS TARGET N              microseconds for connect and one byte back, N lines
 *   chain burst SOCKS TARGET N                 seconds until N connections that begin at once have a byte back
 *   chain echo SOCKS TARGET SECONDS            microseconds of one byte and back while another stream comes down, a line each
 *   chain hold SOCKS TARGET N                  opens N, says so, and waits for the end of its input
 *
 * SOCKS 0 is no proxy. The target is at 10.88.0.1, since what is on loopback need not be carried; all else is on
 * 127.0.0.1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 256 * 1024, FAR = 10 << 24 | 88 << 16 | 1 };

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void put(int fd, const void *bytes, size_t count) {
    for (const char *at = bytes; count;) {
        ssize_t n = write(fd, at, count);
        if (n <= 0) die("write");
        at += n, count -= n;
    }
}

static void take(int fd, void *bytes, size_t count) {
    for (char *at = bytes; count;) {
        ssize_t n = read(fd, at, count);
        if (n == 0) errno = EPIPE;
        if (n <= 0) die("read");
        at += n, count -= n;
    }
}

static void start(void *(*run)(void *), void *with, pthread_t *thread) {
    pthread_attr_t small;
    pthread_t own;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 * 1024);
    if (pthread_create(thread ? thread : &own, &small, run, with)) die("thread");
    if (!thread) pthread_detach(own);
}

static int dial(uint32_t at, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(at)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(fd, (void *)&to, sizeof to)) die("connect");
    return fd;
}

static int open_port(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_ANY)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (void *)&at, sizeof at) || listen(fd, 4096)) die("listen");
    return fd;
}

static int accepted(int listener) {
    int yes = 1, fd = accept(listener, NULL, NULL);
    if (fd < 0) die("accept");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

/* ---- the far end */
static void *serve(void *with) {
    int fd = (intptr_t)with;
    char want = 0;
    uint64_t left = 0;
    if (read(fd, &want, 1) == 1 && want == 'E') {
        char bytes[512];
        for (ssize_t n; (n = read(fd, bytes, sizeof bytes)) > 0 && write(fd, bytes, n) == n;) {}
    } else if (want == 'D') {
        static char zeros[PIECE];
        if (recv(fd, &left, sizeof left, MSG_WAITALL) != sizeof left) left = 0;
        for (ssize_t n; left && (n = write(fd, zeros, left < PIECE ? left : PIECE)) > 0;) left -= n;
    } else if (want == 'U') {
        char *piece = malloc(PIECE);
        if (recv(fd, &left, sizeof left, MSG_WAITALL) != sizeof left) left = PIECE;
        for (ssize_t n; left && (n = read(fd, piece, PIECE)) > 0;) left -= n;
        free(piece);
        if (!left && write(fd, "!", 1) != 1) {}
    }
    close(fd);
    return NULL;
}

/* ---- a line that takes time */
struct late { double due; size_t count; struct late *next; char bytes[]; };
struct way { int from, to; pthread_mutex_t lock; pthread_cond_t more; struct late *first, **last; double delay; size_t held; int *left; };

static void *late_writer(void *with) {
    struct way *way = with;
    for (;;) {
        pthread_mutex_lock(&way->lock);
        while (!way->first) pthread_cond_wait(&way->more, &way->lock);
        struct late *it = way->first;
        pthread_mutex_unlock(&way->lock);
        double left = it->due - now();
        if (left > 0) {
            struct timespec t = {left, (left - (time_t)left) * 1e9};
            nanosleep(&t, NULL);
        }
        if (!it->count) return shutdown(way->to, SHUT_WR), NULL;
        for (size_t at = 0; at < it->count;) {
            ssize_t n = write(way->to, it->bytes + at, it->count - at);
            if (n <= 0) return shutdown(way->from, SHUT_RDWR), NULL;
            at += n;
        }
        pthread_mutex_lock(&way->lock);
        way->first = it->next;
        if (!way->first) way->last = &way->first;
        way->held -= it->count;
        pthread_cond_broadcast(&way->more);
        pthread_mutex_unlock(&way->lock);
        free(it);
    }
}

static void *early_reader(void *with) {
    struct way *way = with;
    pthread_mutex_init(&way->lock, NULL);
    pthread_cond_init(&way->more, NULL);
    way->last = &way->first;
    start(late_writer, way, NULL);
    for (ssize_t n = 1; n > 0;) {
        struct late *it = malloc(sizeof *it + 65536);
        n = read(way->from, it->bytes, 65536);
        *it = (struct late){now() + way->delay, n > 0 ? n : 0, NULL};
        pthread_mutex_lock(&way->lock);
        *way->last = it, way->last = &it->next, way->held += it->count;
        pthread_cond_broadcast(&way->more);
        while (way->held > 256 << 20) pthread_cond_wait(&way->more, &way->lock);
        pthread_mutex_unlock(&way->lock);
    }
    return NULL;
}

/* ---- clients */
static int socks_port, target_port;

static int reach(char want) {
    if (!socks_port) {
        int fd = dial(FAR, target_port);
        put(fd, &want, 1);
        return fd;
    }
    int fd = dial(INADDR_LOOPBACK, socks_port);
    unsigned char answer[10], request[] = {5, 1, 0, 1, 10, 88, 0, 1, target_port >> 8, target_port};
    put(fd, "\5\1\0", 3);
    take(fd, answer, 2);
    put(fd, request, sizeof request);
    take(fd, answer, 10);
    if (answer[1]) fprintf(stderr, "refused: %d\n", answer[1]), exit(1);
    put(fd, &want, 1);
    return fd;
}

static uint64_t wanted;

static void *down(void *with) {
    char *piece = malloc(PIECE);
    uint64_t got = 0;
    int fd = reach('D');
    put(fd, &wanted, sizeof wanted);
    for (ssize_t n; (n = read(fd, piece, PIECE)) > 0;) got += n;
    if (got != wanted) fprintf(stderr, "%lu of %lu bytes\n", got, wanted), exit(1);
    return close(fd), free(piece), with;
}

static void *up(void *with) {
    static char zeros[PIECE];
    char done;
    int fd = reach('U');
    put(fd, &wanted, sizeof wanted);
    for (uint64_t left = wanted; left;) {
        size_t n = left < PIECE ? left : PIECE;
        put(fd, zeros, n);
        left -= n;
    }
    take(fd, &done, 1);
    return close(fd), with;
}

static void *once(void *with) {
    char byte = 'x';
    int fd = reach('E');
    put(fd, &byte, 1);
    take(fd, &byte, 1);
    return close(fd), with;
}

static double all(void *(*run)(void *), int count) {
    pthread_t *threads = calloc(count, sizeof *threads);
    double begin = now();
    for (int i = 0; i < count; i++) start(run, NULL, &threads[i]);
    for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
    return now() - begin;
}

static void *flood(void *with) {
    char *piece = malloc(PIECE);
    int fd = reach('D');
    put(fd, &wanted, sizeof wanted);
    while (read(fd, piece, PIECE) > 0) {}
    return with;
}

/* ---- what a chain would cost that only copied */
static void *copy(void *with) {
    struct way *way = with;
    char *piece = malloc(PIECE);
    for (ssize_t n; (n = read(way->from, piece, PIECE)) > 0;) {
        for (ssize_t at = 0, m; at < n; at += m) {
            if ((m = write(way->to, piece + at, n - at)) <= 0) goto out;
        }
    }
out:
    shutdown(way->to, SHUT_WR), shutdown(way->from, SHUT_RD);
    if (!__atomic_sub_fetch(way->left, 1, __ATOMIC_ACQ_REL)) close(way->to), close(way->from), free(way->left);
    return free(piece), free(way), NULL;
}

static int greeted(int fd) {
    char asked[10];
    return recv(fd, asked, 3, MSG_WAITALL) == 3 && write(fd, "\5\0", 2) == 2 && recv(fd, asked, 10, MSG_WAITALL) == 10
        && write(fd, "\5\0\0\1\0\0\0\0\0\0", 10) == 10;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    const char *mode = argc > 2 ? argv[1] : "";
    if (!strcmp(mode, "target")) {
        for (int listener = open_port(atoi(argv[2]));;) start(serve, (void *)(intptr_t)accepted(listener), NULL);
    }
    if (!strcmp(mode, "line")) {
        for (int listener = open_port(atoi(argv[2]));;) {
            int one = accepted(listener), other = dial(INADDR_LOOPBACK, atoi(argv[3]));
            for (int back = 0; back < 2; back++) {
                struct way *way = calloc(1, sizeof *way);
                way->from = back ? other : one, way->to = back ? one : other, way->delay = atof(argv[4]) / 1e3;
                start(early_reader, way, NULL);
            }
        }
    }
    if (!strcmp(mode, "copy")) {
        for (int listener = open_port(atoi(argv[2]));;) {
            int one = accepted(listener);
            if (argc > 4 && !greeted(one)) {
                close(one);
                continue;
            }
            int other = dial(INADDR_LOOPBACK, atoi(argv[3]));
            int *left = malloc(sizeof *left);
            *left = 2;
            for (int back = 0; back < 2; back++) {
                struct way *way = calloc(1, sizeof *way);
                way->from = back ? other : one, way->to = back ? one : other, way->left = left;
                start(copy, way, NULL);
            }
        }
    }
    if (argc < 5) return 2;
    socks_port = atoi(argv[2]), target_port = atoi(argv[3]);
    int count = atoi(argv[4]);
    if (!strcmp(mode, "down") || !strcmp(mode, "up")) {
        int streams = atoi(argv[5]);
        wanted = strtoull(argv[4], NULL, 10) / streams;
        printf("%f\n", all(*mode == 'd' ? down : up, streams));
    } else if (!strcmp(mode, "connects")) {
        for (int i = 0; i < count; i++) {
            double begin = now();
            once(NULL);
            printf("%f\n", (now() - begin) * 1e6);
        }
    } else if (!strcmp(mode, "burst")) {
        printf("%f\n", all(once, count));
    } else if (!strcmp(mode, "echo")) {
        wanted = 1ull << 50;
        int fd = reach('E');
        start(flood, NULL, NULL);
        sleep(1);
        for (double end = now() + count; now() < end; usleep(5000)) {
            char byte = 'x';
            double begin = now();
            put(fd, &byte, 1);
            take(fd, &byte, 1);
            printf("%f\n", (now() - begin) * 1e6);
        }
    } else if (!strcmp(mode, "hold")) {
        char byte = 'x';
        for (int i = 0; i < count; i++) {
            int fd = reach('E');
            put(fd, &byte, 1);
            take(fd, &byte, 1);
        }
        printf("held\n");
        fflush(stdout);
        while (read(0, &byte, 1) > 0) {}
    }
    return 0;
}
