/* Addresses that the kernel refuses by itself, and what it cannot write. MORE is what is wrong: `families`, `fast-open`,
 * `datagrams`, `lengths`, `places`, `flags` or `sockets`. */
#include "transcript.h"

static struct target target;

/* An address of another family than the socket's, or of one that the socket is set not to take. */
static struct target other(void) {
    struct target other = target;
    /* The port is at the same place in both kinds of address. */
    if (!target.mapped) other.family = target.family == AF_INET ? AF_INET6 : AF_INET;
    set_host(&other, target.host);
    return other;
}

static int made(int type) {
    int fd = socket(target.family, type | (target.nonblocking ? SOCK_NONBLOCK : 0), 0), on = 1;
    MUST(fd >= 0);
    if (target.mapped) MUST(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0);
    return fd;
}

static void try_lengths(int fd, struct target *to) {
    static const socklen_t lengths[] = {16, 23, 24, 28, 128};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        say("%u bytes %s", lengths[i], result(connect(fd, (void *)&to->address, lengths[i])));
}

static void families(void) {
    struct target to = other();
    int fd = made(SOCK_STREAM), off = 0;
    try_lengths(fd, &to);
    if (target.family == AF_INET) {
        to.mapped = true;
        set_host(&to, target.host);
        try_lengths(fd, &to);
    }
    say("SO_ERROR %s", socket_error(fd));
    show_peer(fd);
    /* The same socket is as good as ever. */
    if (target.mapped) MUST(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0);
    say("connect %s", result(start(fd, &target)));
    wait_writable(fd);
    say("SO_ERROR %s", socket_error(fd));
    echo(fd, "word");
    /* By now the library may know where the next one is held. */
    fd = made(SOCK_STREAM);
    try_lengths(fd, &to);
    say("SO_ERROR %s", socket_error(fd));
}

static void fast_open(void) {
    struct target to = other();
    int fd = made(SOCK_STREAM);
    say("sendto %s", result(sendto(fd, "word", 4, MSG_FASTOPEN, (void *)&to.address, to.length)));
    say("SO_ERROR %s", socket_error(fd));
    show_peer(fd);
}

static void datagrams(void) {
    struct target to = other();
    /* A datagram socket of IPv6 takes an address of IPv4. */
    for (int only = 0; only < 2; only++) {
        int fd = made(SOCK_DGRAM);
        if (target.family == AF_INET6) MUST(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) == 0);
        say("sendto %s", result(sendto(fd, "one", 3, 0, (void *)&to.address, to.length)));
        say("connect %s", result(start(fd, &to)));
        show_peer(fd);
    }
    if (target.family == AF_INET6) return;
    to.mapped = true;
    set_host(&to, target.host);
    int fd = made(SOCK_DGRAM);
    say("mapped, sendto %s", result(sendto(fd, "one", 3, 0, (void *)&to.address, to.length)));
    say("mapped, connect %s", result(start(fd, &to)));
}

static void lengths(void) {
    static char longer[1000];
    memcpy(longer, &target.address, target.length);
    int types[] = {SOCK_STREAM, SOCK_DGRAM};
    for (int i = 0; i < 2; i++) {
        int fd = made(types[i]);
        static const socklen_t wrong[] = {0, 1, 2, 15, 129, 1000, -1};
        for (size_t j = 0; j < sizeof wrong / sizeof *wrong; j++) {
            say("connect, %d bytes %s", wrong[j], result(connect(fd, (void *)longer, wrong[j])));
            if (i) say("sendto, %d bytes %s", wrong[j], result(sendto(fd, "one", 3, 0, (void *)longer, wrong[j])));
        }
        say("SO_ERROR %s", socket_error(fd));
    }
}

static void places(void) {
    /* What the compiler knows to be null it would not let through. */
    void *volatile none = NULL, *volatile nowhere = (void *)8;
    int fd = open_socket(&target);
    say("first %s", result(start(fd, &target)));
    wait_writable(fd);
    int (*const calls[])(int, struct sockaddr *, socklen_t *) = {getpeername, getsockname};
    for (int i = 0; i < 2; i++) {
        socklen_t length = 16;
        say("no place %s", result(calls[i](fd, none, &length)));
        length = 0;
        say("no place and no room %s", result(calls[i](fd, none, &length)));
        say("length %u", length);
        struct sockaddr_storage name;
        length = -1;
        say("negative %s", result(calls[i](fd, (void *)&name, &length)));
        say("no length %s", result(calls[i](fd, (void *)&name, none)));
    }
    say("bind %s", result(bind(socket(target.family, SOCK_STREAM, 0), nowhere, target.length)));
    say("connect %s", result(connect(socket(target.family, SOCK_STREAM, 0), none, target.length)));
}

static void flags(void) {
    say("stream %s", result(socket(target.family, SOCK_STREAM | 0x10000, 0)));
    say("datagram %s", result(socket(target.family, SOCK_DGRAM | 0x100, 0)));
}

static void sockets(void) {
    static const struct { int type, protocol; } wrong[] = {
        {SOCK_STREAM | 0x10000, 132}, {11, 0}, {15, 0}, {15, 7},
        {SOCK_STREAM, -1}, {SOCK_STREAM, 300}, {SOCK_DGRAM, -1}, {SOCK_DGRAM, 300}, {SOCK_SEQPACKET, 300}, {SOCK_SEQPACKET, 0},
        {0, 0}, {SOCK_DGRAM, IPPROTO_TCP}, {SOCK_STREAM, IPPROTO_UDP},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        say("type %#x, protocol %d %s", wrong[i].type, wrong[i].protocol, result(socket(target.family, wrong[i].type, wrong[i].protocol)));
    int on = 1, closed = dup(0);
    close(closed);
    struct ip_mreqn group = {.imr_multiaddr.s_addr = inet_addr("224.0.0.251")};
    for (int i = 0; i < 2; i++) {
        int fd = i ? closed : -1;
        say("segment %s", result(setsockopt(fd, IPPROTO_UDP, 103, &on, sizeof on)));
        say("join %s", result(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group)));
        say("device %s", result(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "veth-c", 6)));
    }
}

int main(int argc, char **argv) {
    target = parse(argc, argv);
    MUST(argc == 6);
    if (!strcmp(argv[5], "families")) families();
    else if (!strcmp(argv[5], "datagrams")) datagrams();
    else if (!strcmp(argv[5], "fast-open")) fast_open();
    else if (!strcmp(argv[5], "flags")) flags();
    else if (!strcmp(argv[5], "sockets")) sockets();
    else if (!strcmp(argv[5], "lengths")) lengths();
    else if (!strcmp(argv[5], "places")) places();
    else MUST(!"known");
    return 0;
}
