/* Ways of datagrams, and of sockets that are neither stream nor datagram. */
#include "leak.h"
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>

static int sent(int fd, long bytes, const char *way) {
    return bytes < 0 ? fails(way) : echoed(fd);
}

/* As if by the network's own interface, whatever the routes say. */
static long steered(int fd, Address *to, struct iovec *part) {
    union { char space[CMSG_SPACE(sizeof(struct in6_pktinfo))]; struct cmsghdr header; } control = {0};
    struct msghdr message = {.msg_name = to, .msg_namelen = size_of(to), .msg_iov = part, .msg_iovlen = 1, .msg_control = &control};
    unsigned interface = if_nametoindex("veth-c");
    if (to->any.sa_family == AF_INET) {
        struct in_pktinfo info = {.ipi_ifindex = (int)interface};
        message.msg_controllen = CMSG_SPACE(sizeof info);
        control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof info), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
        memcpy(CMSG_DATA(&control.header), &info, sizeof info);
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = interface};
        if (IN6_IS_ADDR_V4MAPPED(&to->v6.sin6_addr)) info.ipi6_addr = address_of("::ffff:10.77.0.2", 0).v6.sin6_addr;
        message.msg_controllen = CMSG_SPACE(sizeof info);
        control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof info), .cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_PKTINFO};
        memcpy(CMSG_DATA(&control.header), &info, sizeof info);
    }
    return sendmsg(fd, &message, 0);
}

static int datagram(const char *way, const char *host, int protocol) {
    int fd = socket(strchr(host, ':') ? AF_INET6 : AF_INET, SOCK_DGRAM, protocol), one = 1;
    if (fd < 0) cannot("make the socket");
    Address to = address_of(host, ECHO);
    struct iovec part = {"word", 4};
    struct mmsghdr message = {.msg_hdr = {.msg_name = &to, .msg_namelen = size_of(&to), .msg_iov = &part, .msg_iovlen = 1}};
    if (!strcmp(way, "sendto")) return sent(fd, sendto(fd, "word", 4, 0, &to.any, size_of(&to)), way);
    if (!strcmp(way, "sendmsg")) return sent(fd, sendmsg(fd, &message.msg_hdr, 0), way);
    if (!strcmp(way, "sendmmsg")) return sent(fd, sendmmsg(fd, &message, 1, 0), way);
    if (!strcmp(way, "steered")) return sent(fd, steered(fd, &to, &part), way);
    if (!strcmp(way, "broadcast")) setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof one);
    if (!strcmp(way, "scoped")) to.v6.sin6_scope_id = if_nametoindex("veth-c");
    if (!strcmp(way, "interface")) {
        /* IP_UNICAST_IF */
        unsigned interface = htonl(if_nametoindex("veth-c"));
        if (setsockopt(fd, IPPROTO_IP, 50, &interface, sizeof interface) < 0) return fails("IP_UNICAST_IF");
    }
    if (!strcmp(way, "device") && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "veth-c", 7) < 0) return fails("SO_BINDTODEVICE");
    if (!strcmp(way, "connect")) {
        if (connect(fd, &to.any, size_of(&to)) < 0) return fails("connect");
        return sent(fd, send(fd, "word", 4, 0), way);
    }
    if (!strcmp(way, "again")) {
        /* Dissolved, and connected again. */
        Address here = address_of("127.0.0.1", 9), none = {0};
        if (connect(fd, &here.any, size_of(&here)) < 0 || connect(fd, &none.any, sizeof none.v4) < 0) return fails("connect");
        if (connect(fd, &to.any, size_of(&to)) < 0) return fails("connect again");
        return sent(fd, write(fd, "word", 4), way);
    }
    return sent(fd, sendto(fd, "word", 4, 0, &to.any, size_of(&to)), way);
}

static int kind(const char *way) {
    static const unsigned char ping[8] = {8, 0, 0xf7, 0xff, 0, 0, 0, 0};
    Address to = address_of(FAR, 0);
    if (!strcmp(way, "packet")) {
        int fd = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP));
        if (fd < 0) cannot(way);
        /* IPv4 and UDP, to the far side. */
        static const unsigned char packet[28] = {0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0x66, 0x1f, 10, 77, 0, 2, 10, 99, 0, 1, 0x1b, 0x5f, 0x1b, 0x5f, 0, 8, 0, 0};
        struct sockaddr_ll link = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = (int)if_nametoindex("veth-c"), .sll_halen = 6, .sll_addr = {2, 0, 0, 0, 0, 1}};
        return sendto(fd, packet, sizeof packet, 0, (void *)&link, sizeof link) < 0 ? fails("sendto") : 0;
    }
    int raw = !strcmp(way, "raw"), sctp = !strcmp(way, "sctp"), dccp = !strcmp(way, "dccp");
    int type = raw ? SOCK_RAW : sctp ? SOCK_STREAM : dccp ? 6 : SOCK_DGRAM;
    int fd = socket(AF_INET, type, sctp ? IPPROTO_SCTP : dccp ? 33 : IPPROTO_ICMP);
    if (fd < 0) cannot(way);
    if (sctp || dccp) return connected(fd, FAR);
    return sendto(fd, ping, sizeof ping, 0, &to.any, size_of(&to)) < 0 ? fails("sendto") : 0;
}

/* Families that no kernel routes by IP, or few have. */
static int family(const char *name) {
    static const struct { const char *name; int family, type; } families[] = {
        {"vsock", 40, SOCK_STREAM}, {"tipc", 30, SOCK_SEQPACKET}, {"rds", 21, SOCK_SEQPACKET}, {"bluetooth", 31, SOCK_RAW}, {"xdp", 44, SOCK_RAW}, {"can", 29, SOCK_RAW},
    };
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (!strcmp(families[i].name, name)) {
            int fd = socket(families[i].family, families[i].type, 0);
            if (fd < 0) cannot(name);
            puts("made");
        }
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(argv[1], "kind")) return kind(argv[2]);
    if (!strcmp(argv[1], "family")) return family(argv[2]);
    return datagram(argv[1], argv[2], argc > 3 ? atoi(argv[3]) : 0);
}
