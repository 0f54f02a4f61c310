/* Sockets and options that go round a tunnel, and some that do not. */
#include "transcript.h"
#include <linux/netlink.h>
#include <net/if.h>

static void open_one(const char *what, int domain, int type, int protocol) {
    int fd = socket(domain, type | SOCK_CLOEXEC, protocol);
    say("%s %s", what, result(fd < 0 ? fd : 0));
    if (fd >= 0) close(fd);
}

int main(void) {
    open_one("raw", AF_INET, SOCK_RAW, IPPROTO_TCP);
    open_one("raw6", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
    open_one("packet", AF_PACKET, SOCK_DGRAM, 0);
    open_one("icmp", AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
    open_one("sctp", AF_INET, SOCK_STREAM, 132);
    open_one("udplite", AF_INET6, SOCK_DGRAM, 136);
    open_one("dccp", AF_INET, 6, 33);
    open_one("unix", AF_UNIX, SOCK_SEQPACKET, 0);
    open_one("netlink", AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    int fd = socket(AF_INET, SOCK_DGRAM, 0), fd6 = socket(AF_INET6, SOCK_DGRAM, 0), one = 1;
    struct ip_mreqn group = {.imr_multiaddr.s_addr = inet_addr("224.0.0.251")};
    say("join %s", result(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group)));
    struct ipv6_mreq group6 = {.ipv6mr_interface = if_nametoindex("veth-c")};
    MUST(inet_pton(AF_INET6, "ff02::fb", &group6.ipv6mr_multiaddr) == 1);
    say("join6 %s", result(setsockopt(fd6, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &group6, sizeof group6)));
    say("device %s", result(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "veth-c", 6)));
    say("no device %s", result(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0)));
    say("segment %s", result(setsockopt(fd, IPPROTO_UDP, 103, &one, sizeof one)));
    say("gro %s", result(setsockopt(fd, IPPROTO_UDP, 104, &one, sizeof one)));
    MUST(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof one) == 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7007), .sin_addr.s_addr = INADDR_BROADCAST};
    say("broadcast %s", result(sendto(fd, "x", 1, 0, (void *)&to, sizeof to)));
    to.sin_addr.s_addr = inet_addr("224.0.0.251");
    say("multicast %s", result(sendto(fd, "x", 1, 0, (void *)&to, sizeof to)));
}
