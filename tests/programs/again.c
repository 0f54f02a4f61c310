/* More than one connect() on a socket. MORE: `connect` takes the outcome of the first by the
 * second, `error` by SO_ERROR. */
#include "transcript.h"

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
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
