/* Signals whose handler takes longer than the connection: 20 connects, of which each succeeds, or is
 * interrupted and succeeds later. MORE: restart or interrupt. */
#include "transcript.h"

static void linger(int signal) {
    (void)signal;
    usleep(150000);
}

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    bool restart = !strcmp(argv[5], "restart");
    struct sigaction action = {.sa_handler = linger, .sa_flags = restart ? SA_RESTART : 0};
    MUST(sigaction(SIGALRM, &action, NULL) == 0);
    int good = 0;
    for (int i = 0; i < 20; i++) {
        int fd = open_socket(&target);
        struct itimerval timer = {.it_value.tv_usec = 20000 + 5000 * i};
        MUST(setitimer(ITIMER_REAL, &timer, NULL) == 0);
        int rc = start(fd, &target), number = rc ? errno : 0;
        if (rc && (restart || number != EINTR)) {
            say("%d: connect %s", i, errno_name(number));
            continue;
        }
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        int count;
        while ((count = poll(&ready, 1, WAIT_MS)) < 0 && errno == EINTR) {}
        const char *error = socket_error(fd);
        struct sockaddr_storage peer;
        socklen_t length = sizeof peer;
        char byte = 'x';
        bool peered = getpeername(fd, (void *)&peer, &length) == 0 && !memcmp(&peer, &target.address, 8);
        bool echoed = count == 1 && write(fd, &byte, 1) == 1 && receive(fd, &byte, 1) == 1;
        if (count == 1 && !strcmp(error, "0") && peered && echoed)
            good++;
        else
            say("%d: connect %s, poll %d, SO_ERROR %s, %s, %s", i, errno_name(number), count, error,
                peered ? "peer" : "no peer", echoed ? "echo" : "no echo");
        close(fd);
    }
    say("good %d", good);
    return 0;
}
