/* bind() before connect(). MORE: `any` (any address, any port), `port` (any address, a port of its
 * choice), `address` (the address of the interface), `device` (SO_BINDTODEVICE veth-c). */
#include "transcript.h"

static int local_port(int fd) {
    struct sockaddr_in6 address;
    socklen_t length = sizeof address;
    MUST(getsockname(fd, (void *)&address, &length) == 0);
    return ntohs(address.sin6_port);
}

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    MUST(argc == 6);
    const char *way = argv[5];
    int fd = open_socket(&target);
    if (!strcmp(way, "device")) {
        say("SO_BINDTODEVICE %s", result(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "veth-c", 7)));
    } else {
        struct target local = target;
        memset(&local.address, 0, sizeof local.address);
        local.address.ss_family = target.family;
        if (!strcmp(way, "address")) {
            if (target.family == AF_INET)
                MUST(inet_pton(AF_INET, "10.77.0.2", &((struct sockaddr_in *)&local.address)->sin_addr) == 1);
            else
                MUST(inet_pton(AF_INET6, target.mapped ? "::ffff:10.77.0.2" : "fd77::2",
                               &((struct sockaddr_in6 *)&local.address)->sin6_addr) == 1);
        }
        if (!strcmp(way, "port")) set_port(&local, 20000 + getpid() % 10000);
        say("bind %s", result(bind(fd, (void *)&local.address, local.length)));
    }
    int port = local_port(fd);
    connect_and_wait(fd, &target);
    say("the port is kept: %s", port == 0 || port == local_port(fd) ? "yes" : "no");
    show_peer(fd);
    show_local(fd);
    echo(fd, "bound");
}
