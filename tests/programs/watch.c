/* Others look at the socket during a connect() that takes two seconds: a second thread by poll, and an
 * epoll set, made before connect(). Neither may see it ready before it is connected. */
#include "transcript.h"
#include <pthread.h>

static int fd, set;
static double begin;

static void *look_by_poll(void *seen) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    do {
        poll(NULL, 0, 5);
        MUST(poll(&poll_fd, 1, WAIT_MS) == 1);
        /* Before connect() has begun it is OUT|HUP. */
    } while (poll_fd.revents & POLLHUP);
    *(double *)seen = now() - begin;
    return NULL;
}

static void *look_by_epoll(void *seen) {
    struct epoll_event event;
    MUST(epoll_wait(set, &event, 1, WAIT_MS) == 1);
    *(double *)seen = now() - begin;
    return NULL;
}

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    MUST(argc == 6);
    bool with_set = strstr(argv[5], "epoll"), with_poll = strstr(argv[5], "thread");
    fd = open_socket(&target);
    struct epoll_event event = {.events = EPOLLOUT | EPOLLET};
    double polled = 9, waited = 9;
    pthread_t threads[2];
    MUST((set = epoll_create1(0)) >= 0);
    if (with_set) {
        MUST(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
        /* The state before connect(), OUT|HUP, is of no interest: it has had its edge. */
        MUST(epoll_wait(set, &event, 1, 0) == 1);
    }
    begin = now();
    if (with_poll) pthread_create(&threads[0], NULL, look_by_poll, &polled);
    if (with_set) pthread_create(&threads[1], NULL, look_by_epoll, &waited);
    say("connect %s", result(start(fd, &target)));
    if (with_poll) pthread_join(threads[0], NULL);
    if (with_set) pthread_join(threads[1], NULL);
    /* No connection is there before two seconds. */
    if (with_poll) say("poll saw it %s", polled < 1.4 ? "too early" : "when connected");
    if (with_set) say("epoll saw it %s", waited < 1.4 ? "too early" : "when connected");
    wait_writable(fd);
    echo(fd, "watched");
}
