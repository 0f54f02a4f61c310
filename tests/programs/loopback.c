/* Loopback is the program's own: TCP and datagrams pass, but for port 53, a resolver's stub.
 * The arguments FAMILY and MODE count, HOST and PORT do not. MORE: `stub` has something listen on
 * port 53 and tries to reach it. */
#include "transcript.h"

static struct target local(const struct target *target, int port) {
    struct target here = *target;
    memset(&here.address, 0, sizeof here.address);
    here.address.ss_family = target->family;
    const char *text = target->family == AF_INET ? "127.0.0.1" : target->mapped ? "::ffff:127.0.0.1" : "::1";
    void *bytes = target->family == AF_INET ? (void *)&((struct sockaddr_in *)&here.address)->sin_addr
                                            : (void *)&((struct sockaddr_in6 *)&here.address)->sin6_addr;
    MUST(inet_pton(target->family, text, bytes) == 1);
    set_port(&here, port);
    return here;
}

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    struct target here = local(&target, 0), stub = local(&target, 53);
    char buffer[8] = "";

    int server = socket(target.family, SOCK_DGRAM, 0), client = socket(target.family, SOCK_DGRAM, 0);
    MUST(bind(server, (void *)&here.address, here.length) == 0);
    MUST(getsockname(server, (void *)&here.address, &here.length) == 0);
    say("datagram %s", result(sendto(client, "one", 3, 0, (void *)&here.address, here.length)));
    say("received %s %s", result(receive(server, buffer, 7)), buffer);
    say("connect %s", result(start(client, &here)));
    say("send %s", result(send(client, "two", 3, 0)));
    say("received %s %s", result(receive(server, buffer, 7)), buffer);

    here = local(&target, 0);
    server = socket(target.family, SOCK_STREAM, 0);
    MUST(bind(server, (void *)&here.address, here.length) == 0 && listen(server, 1) == 0);
    MUST(getsockname(server, (void *)&here.address, &here.length) == 0);
    client = open_socket(&target);
    connect_and_wait(client, &here);
    int accepted = accept(server, NULL, NULL);
    MUST(accepted >= 0);
    say("send %s", result(send(client, "three", 5, 0)));
    say("received %s %s", result(receive(accepted, buffer, 7)), buffer);
    show_local(client);

    if (argc <= 5) return 0;
    int servers[] = {socket(target.family, SOCK_STREAM, 0), socket(target.family, SOCK_DGRAM, 0)};
    /* A run before this one may have left a connection to the port behind. */
    MUST(setsockopt(servers[0], SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) == 0);
    for (int i = 0; i < 2; i++) MUST(bind(servers[i], (void *)&stub.address, stub.length) == 0);
    MUST(listen(servers[0], 1) == 0);
    int stream = open_socket(&target), datagram = socket(target.family, SOCK_DGRAM, 0);
    say("port 53, stream:");
    connect_and_wait(stream, &stub);
    MUST(fcntl(servers[0], F_SETFL, O_NONBLOCK) == 0);
    say("port 53, accepted: %s", accept(servers[0], NULL, NULL) < 0 ? result(-1) : "yes");
    say("port 53, datagram: %s", result(sendto(datagram, "dns", 3, 0, (void *)&stub.address, stub.length)));
    datagram = socket(target.family, SOCK_DGRAM, 0);
    say("port 53, datagram: connect %s", result(start(datagram, &stub)));
    say("send %s", result(send(datagram, "dns", 3, 0)));
    int came = 0;
    for (struct pollfd poll_fd = {.fd = servers[1], .events = POLLIN}; came < 2 && poll(&poll_fd, 1, 300) == 1; came++)
        MUST(recv(servers[1], buffer, sizeof buffer, 0) == 3);
    say("the stub has %d", came);
}
