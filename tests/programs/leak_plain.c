/* A client like any other; what matters is how it is built and started: blocking, epoll, udp, line, dropped, stale. */
#include "leak.h"
#include <grp.h>
#include <sys/epoll.h>

static int by_epoll(void) {
    int set = epoll_create1(EPOLL_CLOEXEC), fd = opened(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    Address to = address_of(FAR, ECHO);
    struct epoll_event event = {.events = EPOLLOUT | EPOLLET};
    epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
    if (connect(fd, &to.any, size_of(&to)) < 0 && errno != EINPROGRESS) return fails("connect");
    if (epoll_wait(set, &event, 1, WAIT_MS) != 1) return fails("epoll_wait");
    return talks(fd);
}

static int by_datagram(void) {
    int fd = opened(AF_INET, SOCK_DGRAM, 0);
    Address to = address_of(FAR, ECHO);
    if (sendto(fd, "word", 4, 0, &to.any, size_of(&to)) < 0) return fails("sendto");
    return echoed(fd);
}

/* After the agent, or whoever carries it, is gone: a line tells when. */
static int after_a_line(void) {
    int early = opened(AF_INET, SOCK_STREAM, 0);
    char line[16];
    puts("ready");
    fflush(stdout);
    if (read(0, line, sizeof line) < 1) return fails("read");
    connected(early, FAR);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd >= 0) connected(fd, FAR);
    return by_datagram();
}

int main(int argc, char **argv) {
    const char *way = argc > 1 ? argv[1] : "blocking";
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(way, "epoll")) return by_epoll();
    if (!strcmp(way, "udp")) return by_datagram();
    if (!strcmp(way, "line")) return after_a_line();
    if (!strcmp(way, "dropped")) {
        if (setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
            cannot("drop privileges");
    }
    /* An address that stands for names, and for none. */
    return connected(opened(AF_INET, SOCK_STREAM, 0), strcmp(way, "stale") ? FAR : "198.18.200.200");
}
