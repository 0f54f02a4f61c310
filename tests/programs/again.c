/* More than one connect() on a socket. MORE: `connect` takes the outcome of the first by the
 * second, `error` by SO_ERROR. `closed`: the far end closes at
 * once, and many are tried, since that may be before the first is done. */
#include "transcript.h"

static void closed(struct target *target) {
    int connected = 0, fd;
    for (int i = 0; i < 60; i++) {
        fd = open_socket(target);
        struct pollfd writable = {.fd = fd, .events = POLLOUT};
        int first = start(fd, target);
        MUST((first == 0 || errno == EINPROGRESS) && poll(&writable, 1, WAIT_MS) == 1);
        /* It takes what the first has come to. */
        if (first == -1) MUST(start(fd, target) == 0);
        if (i % 2) usleep(20000);
        if (start(fd, target) == -1 && errno == EISCONN) connected++;
        close(fd);
    }
    say("EISCONN %d", connected);
}

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    if (argc > 5 && !strcmp(argv[5], "closed")) {
        closed(&target);
        return 0;
    }
    bool by_error = argc > 5 && !strcmp(argv[5], "error");
    int fd = open_socket(&target);
    say("first %s", result(start(fd, &target)));
    if (target.nonblocking) {
        say("while pending %s", result(start(fd, &target)));
        wait_writable(fd);
    }
    if (by_error) say("SO_ERROR %s", socket_error(fd));
    say("then %s", result(start(fd, &target)));
    say("then %s", result(start(fd, &target)));
    wait_writable(fd);
    say("SO_ERROR %s", socket_error(fd));
    show_peer(fd);
    close(fd);

    /* After a failure the same socket connects elsewhere. */
    fd = open_socket(&target);
    start(fd, &target);
    wait_writable(fd);
    say("SO_ERROR %s", socket_error(fd));
    set_port(&target, 7007);
    int second = start(fd, &target);
    say("elsewhere %s", result(second));
    if (second == -1 && errno == ECONNABORTED) say("elsewhere %s", result(start(fd, &target)));
    wait_writable(fd);
    say("SO_ERROR %s", socket_error(fd));
    if (ntohs(((struct sockaddr_in *)&target.address)->sin_port) == 7007) echo(fd, "again");
    close(fd);
}
