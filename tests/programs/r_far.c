/* Far ends that the usual services are not: r_far PORT MODE. Serves until it is killed.
 *   answer    reads a little, answers 50,000 bytes and, when they have arrived, closes with bytes unread, which
 *             resets
 *   watch     reads nothing, and says when it sees the connection's end
 *   fill      sends until nothing more goes, then resets
 *   stay      reads to the end and keeps the connection
 *   ignore    neither reads nor writes nor closes
 *   fill-and-stay  sends until nothing more goes, and keeps the connection
 *   half      ends its own way, and reads nothing
 *   exchange  random bytes both ways
 *   urgent, in-line  urgent bytes both ways */
#include "r_stream.h"
#include <linux/sockios.h>
#include <pthread.h>
#include <sys/ioctl.h>

static const char *mode;

static bool is(const char *word) { return !strcmp(mode, word); }

static void reset(int fd) {
    struct linger now_ = {1, 0};
    MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now_, sizeof now_) == 0);
    close(fd);
}

static void *serve(void *accepted) {
    int fd = (int)(intptr_t)accepted;
    static char bytes[65536];
    if (is("answer")) {
        recv(fd, bytes, 1000, 0);
        usleep(200000);
        for (ssize_t left = 50000, sent; left > 0; left -= sent)
            if ((sent = send(fd, bytes, left, MSG_NOSIGNAL)) < 0) break;
        /* A reset drops what is still to be sent: on a busy machine that is all beyond the congestion window. */
        for (int queued = 1; queued > 0; usleep(1000)) MUST(ioctl(fd, SIOCOUTQ, &queued) == 0);
        close(fd);
    } else if (is("watch")) {
        double begin = now();
        struct pollfd end = {.fd = fd};
        int count = poll(&end, 1, 60000);
        say("far sees %s %s", count ? events(end.revents) : "nothing", now() - begin < 50 ? "in time" : "late");
        close(fd);
    } else if (is("fill")) {
        struct timeval half = {0, 500000};
        MUST(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &half, sizeof half) == 0);
        while (send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) > 0) {}
        reset(fd);
    } else if (is("stay")) {
        while (recv(fd, bytes, sizeof bytes, 0) > 0) {}
        say("end");
    } else if (is("fill-and-stay")) {
        while (send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) > 0) {}
    } else if (is("half")) {
        shutdown(fd, SHUT_WR);
    } else if (is("urgent") || is("in-line")) {
        const char *fault = exchange_urgent(fd, false, is("in-line"));
        say("far: %s", fault ? fault : "as sent");
        close(fd);
    } else if (is("exchange")) {
        uint32_t number;
        const char *fault = "no number";
        if (recv(fd, &number, sizeof number, MSG_WAITALL) == sizeof number) fault = exchange(fd, number, false);
        if (fault) say("far %u: %s", number, fault);
        close(fd);
    }
    return NULL;
}

int main(int argc, char **argv) {
    MUST(argc == 3);
    mode = argv[2];
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(argv[1]))};
    int listener = socket(AF_INET6, SOCK_STREAM, 0), one = 1;
    MUST(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
    MUST(bind(listener, (void *)&any, sizeof any) == 0 && listen(listener, 500) == 0);
    say("ready");
    for (;;) {
        pthread_t thread;
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0) MUST(!pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) && !pthread_detach(thread));
    }
}
