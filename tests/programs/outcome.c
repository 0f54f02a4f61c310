/* One connect() and its outcome. MORE: the options `ttl255`, `mptcp`, `no-echo`, `twice`
 * (a SYN that nobody answers is sent once more, and no more), and `errno`, which writes the errno and nothing else. */
#include "transcript.h"

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    bool with_echo = true, errno_only = false;
    int fd = open_socket(&target);
    for (int i = 5; i < argc; i++) {
        if (!strcmp(argv[i], "no-echo")) with_echo = false;
        if (!strcmp(argv[i], "errno")) errno_only = true;
        if (!strcmp(argv[i], "mptcp")) {
            close(fd);
            fd = socket(target.family, SOCK_STREAM | (target.nonblocking ? SOCK_NONBLOCK : 0), 262);
            MUST(fd >= 0);
        }
        if (!strcmp(argv[i], "twice")) {
            int once_more = 1;
            MUST(setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &once_more, sizeof once_more) == 0);
        }
        if (!strcmp(argv[i], "ttl255")) {
            int ttl = 255;
            MUST(setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl) == 0);
            if (target.family == AF_INET6) MUST(setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &ttl, sizeof ttl) == 0);
        }
    }
    if (errno_only) {
        if (start(fd, &target) == -1 && errno == EINPROGRESS) {
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, WAIT_MS);
            say("%s", socket_error(fd));
        } else {
            say("%s", errno_name(errno));
        }
        return 0;
    }
    show_peer(fd);
    connect_and_wait(fd, &target);
    say("SO_ERROR again %s", socket_error(fd));
    show_peer(fd);
    show_local(fd);
    if (with_echo) echo(fd, "ping");
    say("close %s", result(close(fd)));
}
