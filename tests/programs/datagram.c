/* Datagrams. MORE: sendto, connect, sendmsg, sendmmsg. */
#include "transcript.h"

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    MUST(argc == 6);
    const char *way = argv[5];
    int fd = socket(target.family, SOCK_DGRAM | (target.nonblocking ? SOCK_NONBLOCK : 0), 0);
    MUST(fd >= 0);
    char word[] = "data";
    struct iovec part = {word, 4};
    struct mmsghdr message = {.msg_hdr = {.msg_name = &target.address, .msg_namelen = target.length, .msg_iov = &part, .msg_iovlen = 1}};
    if (!strcmp(way, "sendto")) {
        say("sendto %s", result(sendto(fd, word, 4, 0, (void *)&target.address, target.length)));
    } else if (!strcmp(way, "sendmsg")) {
        say("sendmsg %s", result(sendmsg(fd, &message.msg_hdr, 0)));
    } else if (!strcmp(way, "sendmmsg")) {
        say("sendmmsg %s", result(sendmmsg(fd, &message, 1, 0)));
    } else {
        say("connect %s", result(start(fd, &target)));
        show_peer(fd);
        say("send %s", result(send(fd, word, 4, 0)));
    }
}
