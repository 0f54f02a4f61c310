/* The near ends for r_far. MORE:
 *   writer    writes until it cannot, then reads all that there is
 *   reader    writes some, then only reads
 *   fill      writes until nothing more goes, then resets
 *   watch     reads nothing, and says when it sees the connection's end
 *   idle, half, full   connects, ends its way or fills it, and waits for a line of input
 *   exchange COUNT     random bytes both ways, ten connections at once
 *   urgent, in-line    urgent bytes both ways */
#include "r_stream.h"
#include <pthread.h>

static struct target target;
static int total, failed;

static int connected(void) {
    int fd = open_socket(&target);
    if (start(fd, &target)) {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        MUST(errno == EINPROGRESS && poll(&ready, 1, WAIT_MS) == 1 && !strcmp(socket_error(fd), "0"));
    }
    MUST(fcntl(fd, F_SETFL, 0) == 0);
    return fd;
}

static void limit(int fd, int name, int milliseconds) {
    struct timeval time = {milliseconds / 1000, milliseconds % 1000 * 1000};
    MUST(setsockopt(fd, SOL_SOCKET, name, &time, sizeof time) == 0);
}

static void read_all(int fd) {
    static char bytes[65536];
    size_t got = 0;
    ssize_t count;
    limit(fd, SO_RCVTIMEO, 60000);
    while ((count = recv(fd, bytes, sizeof bytes, 0)) > 0) got += count;
    say("read %zu then %s", got, result(count));
}

static void *exchanges(void *unused) {
    (void)unused;
    for (;;) {
        int number = __atomic_sub_fetch(&total, 1, __ATOMIC_RELAXED);
        if (number < 0) return NULL;
        int fd = connected();
        uint32_t word = number;
        const char *fault = "no number";
        if (send(fd, &word, sizeof word, MSG_NOSIGNAL) == sizeof word) fault = exchange(fd, number, true);
        if (fault) say("near %d: %s", number, fault), __atomic_add_fetch(&failed, 1, __ATOMIC_RELAXED);
        close(fd);
    }
}

int main(int argc, char **argv) {
    static char bytes[65536];
    target = parse(argc, argv);
    const char *mode = argv[5];
    if (!strcmp(mode, "exchange")) {
        pthread_t threads[10];
        total = atoi(argv[6]);
        for (int i = 0; i < 10; i++) MUST(!pthread_create(threads + i, NULL, exchanges, NULL));
        for (int i = 0; i < 10; i++) pthread_join(threads[i], NULL);
        say("failed %d", failed);
        return 0;
    }
    int fd = connected();
    if (!strcmp(mode, "writer")) {
        limit(fd, SO_SNDTIMEO, 5000);
        while (send(fd, bytes, sizeof bytes, 0) > 0) {}
        read_all(fd);
    } else if (!strcmp(mode, "reader")) {
        for (size_t left = 4000000; left > 0;) {
            limit(fd, SO_SNDTIMEO, 100);
            ssize_t sent = send(fd, bytes, left < sizeof bytes ? left : sizeof bytes, 0);
            if (sent <= 0) break;
            left -= sent;
        }
        read_all(fd);
    } else if (!strcmp(mode, "urgent") || !strcmp(mode, "in-line")) {
        limit(fd, SO_RCVTIMEO, 10000);
        const char *fault = exchange_urgent(fd, true, !strcmp(mode, "in-line"));
        say("%s", fault ? fault : "as sent");
        read_all(fd);
    } else if (!strcmp(mode, "fill")) {
        struct linger now_ = {1, 0};
        limit(fd, SO_SNDTIMEO, 500);
        while (send(fd, bytes, sizeof bytes, 0) > 0) {}
        MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now_, sizeof now_) == 0);
        close(fd);
        say("reset");
    } else if (!strcmp(mode, "watch")) {
        double begin = now();
        struct pollfd end = {.fd = fd};
        int count = poll(&end, 1, 60000);
        say("near sees %s %s", count ? events(end.revents) : "nothing", now() - begin < 50 ? "in time" : "late");
    } else {
        limit(fd, SO_SNDTIMEO, 500);
        if (!strcmp(mode, "half")) shutdown(fd, SHUT_WR);
        if (!strcmp(mode, "full"))
            while (send(fd, bytes, sizeof bytes, 0) > 0) {}
        say("waiting");
        getchar();
    }
    return 0;
}
