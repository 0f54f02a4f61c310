/* An attempt is given up by AF_UNSPEC while it is pending, and the socket goes elsewhere.
 * MORE: loopback (connects to a listener of its own), or HOST PORT of the next destination. */
#include "transcript.h"

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    int fd = open_socket(&target);
    say("first %s", result(start(fd, &target)));
    usleep(50000);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    say("dissolve %s", result(connect(fd, &none, sizeof none)));
    if (strcmp(argv[5], "loopback")) {
        sleep(2);
        set_host(&target, argv[5]);
        set_port(&target, atoi(argv[6]));
        connect_and_wait(fd, &target);
        echo(fd, "word");
        show_peer(fd);
        return 0;
    }
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, peer;
    socklen_t length = sizeof own;
    MUST(bind(listener, (void *)&own, length) == 0 && listen(listener, 5) == 0);
    MUST(getsockname(listener, (void *)&own, &length) == 0);
    int rc = connect(fd, (void *)&own, sizeof own);
    say("loopback %s", rc && errno != EINPROGRESS ? errno_name(errno) : "good");
    int other = accept(listener, NULL, NULL);
    MUST(other >= 0);
    for (int i = 0; i < 3; i++) {
        char byte = 0;
        MUST(write(other, "x", 1) == 1);
        say("recv %s", result(receive(fd, &byte, 1)));
        length = sizeof peer;
        int known = getpeername(fd, (void *)&peer, &length);
        say("peer %s", known ? errno_name(errno) : peer.sin_port == own.sin_port ? "the listener" : "another");
        sleep(1);
    }
    return 0;
}
