/* A signal ends a blocking connect after 0.3 s. */
#include "transcript.h"

static void ring(int signal) { (void)signal; }

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    struct sigaction action = {.sa_handler = ring};
    struct itimerval timer = {.it_value.tv_usec = 300000};
    MUST(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &timer, NULL) == 0);
    int fd = open_socket(&target);
    double begin = now();
    const char *ended = result(start(fd, &target));
    say("connect %s %s", ended, now() - begin < 8 ? "in time" : "late");
    return 0;
}
