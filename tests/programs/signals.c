/* A signal, or SO_SNDTIMEO, during a connect() that takes two seconds or three. MORE: `interrupt`, `restart`,
 * `interrupt-wait` (connects again to wait), `timeout` */
#include "transcript.h"

static volatile sig_atomic_t signals;

static void on_alarm(int signal) {
    (void)signal;
    signals++;
}

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    MUST(argc == 6);
    const char *way = argv[5];
    int fd = open_socket(&target);
    if (!strcmp(way, "timeout")) {
        struct timeval time = {.tv_usec = 500000};
        MUST(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time) == 0);
    } else {
        struct sigaction action = {.sa_handler = on_alarm, .sa_flags = strcmp(way, "restart") ? 0 : SA_RESTART};
        MUST(sigaction(SIGALRM, &action, NULL) == 0);
        struct itimerval timer = {.it_value.tv_usec = 500000};
        MUST(setitimer(ITIMER_REAL, &timer, NULL) == 0);
    }
    double begin = now();
    say("connect %s", result(start(fd, &target)));
    double took = now() - begin;
    say("%s", took < 0.4 ? "at once" : took < 1.4 ? "when told" : "when connected");
    if (target.nonblocking) poll(NULL, 0, 900);
    if (!strcmp(way, "interrupt-wait")) say("connect again %s", result(start(fd, &target)));
    if (!strcmp(way, "timeout")) {
        struct timeval time = {0};
        MUST(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time) == 0);
    }
    wait_writable(fd);
    say("SO_ERROR %s", socket_error(fd));
    show_peer(fd);
    echo(fd, "signal");
    say("signals %d", signals);
}
