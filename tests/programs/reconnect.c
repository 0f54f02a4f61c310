/* connect() to AF_UNSPEC ends a connection; the socket then connects elsewhere. MORE: `pending`
 * does it while the first is not there yet. */
#include "transcript.h"

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    int fd = open_socket(&target);
    if (argc > 5) {
        say("connect %s", result(start(fd, &target)));
    } else {
        connect_and_wait(fd, &target);
        echo(fd, "first");
    }
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    say("disconnect %s", result(connect(fd, &nowhere, sizeof nowhere)));
    show_peer(fd);
    say("SO_ERROR %s", socket_error(fd));
    set_port(&target, 7006);
    connect_and_wait(fd, &target);
    show_peer(fd);
    char hello[7] = "";
    say("recv %s", result(receive(fd, hello, 6)));
    say("%s", hello);
    echo(fd, "second");
}
