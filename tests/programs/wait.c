/* Waiting for a connection in every way. MORE: WAY, ORDER
 *   WAY    poll, select, lt, et, oneshot, et-oneshot (the last four are epoll's)
 *   ORDER  before or after: registered before connect() or after it */
#include "transcript.h"

static int set = -1;

static void watch(int fd, const char *way) {
    unsigned bits = EPOLLIN | EPOLLOUT | EPOLLRDHUP;
    if (strstr(way, "et")) bits |= EPOLLET;
    if (strstr(way, "oneshot")) bits |= EPOLLONESHOT;
    struct epoll_event event = {.events = bits, .data.u64 = 0x5ca1ab1e};
    MUST(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
}

static void rearm(int fd, const char *way) {
    if (!strstr(way, "oneshot")) return;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLONESHOT, .data.u64 = 0x5ca1ab1e};
    if (strstr(way, "et")) event.events |= EPOLLET;
    MUST(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) == 0);
}

static int look(const char *when, int fd, const char *way, int timeout) {
    int count;
    if (!strcmp(way, "poll")) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
        count = poll(&poll_fd, 1, timeout);
        say("%s: %s %s", when, result(count), events(poll_fd.revents));
    } else if (!strcmp(way, "select")) {
        fd_set in, out, bad;
        FD_ZERO(&in);
        FD_ZERO(&out);
        FD_ZERO(&bad);
        FD_SET(fd, &in);
        FD_SET(fd, &out);
        FD_SET(fd, &bad);
        struct timeval time = {timeout / 1000, timeout % 1000 * 1000};
        count = select(fd + 1, &in, &out, &bad, &time);
        say("%s: %s%s%s%s", when, result(count), FD_ISSET(fd, &in) ? " in" : "", FD_ISSET(fd, &out) ? " out" : "",
            FD_ISSET(fd, &bad) ? " bad" : "");
    } else {
        struct epoll_event event = {0};
        count = epoll_wait(set, &event, 1, timeout);
        say("%s: %s %s%s", when, result(count), events(event.events),
            count == 1 && event.data.u64 != 0x5ca1ab1e ? " of another" : "");
    }
    return count;
}

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    MUST(argc == 7);
    const char *way = argv[5];
    bool uses_epoll = strcmp(way, "poll") && strcmp(way, "select"), before = !strcmp(argv[6], "before");
    int fd = open_socket(&target);
    if (uses_epoll) MUST((set = epoll_create1(EPOLL_CLOEXEC)) >= 0);
    if (uses_epoll && before) {
        watch(fd, way);
        look("unconnected", fd, way, 0);
        rearm(fd, way);
        /* Re-arming looks at the socket: take what it found, and arm again. */
        if (strstr(way, "oneshot")) {
            look("unconnected, armed again", fd, way, 0);
        }
    }
    say("connect %s", result(start(fd, &target)));
    if (uses_epoll && before) rearm(fd, way);
    if (uses_epoll && !before) watch(fd, way);
    bool there = look("at once", fd, way, 0) > 0;
    look("outcome", fd, way, there ? 50 : WAIT_MS);
    /* Level-triggered says it again, edge-triggered and one-shot must not. */
    look("once more", fd, way, 150);
    say("SO_ERROR %s", socket_error(fd));
    look("after SO_ERROR", fd, way, 50);
}
