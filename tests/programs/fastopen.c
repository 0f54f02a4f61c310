/* TCP Fast Open: a connect with a first send. MORE: sendto, sendmsg, sendmmsg, option */
#include "transcript.h"

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    MUST(argc == 6);
    const char *way = argv[5];
    int fd = open_socket(&target);
    char word[] = "fast";
    struct iovec part = {word, 4};
    struct mmsghdr message = {.msg_hdr = {.msg_name = &target.address, .msg_namelen = target.length, .msg_iov = &part, .msg_iovlen = 1}};
    long sent;
    if (!strcmp(way, "sendto")) {
        sent = sendto(fd, word, 4, MSG_FASTOPEN, (void *)&target.address, target.length);
    } else if (!strcmp(way, "sendmsg")) {
        sent = sendmsg(fd, &message.msg_hdr, MSG_FASTOPEN);
    } else if (!strcmp(way, "sendmmsg")) {
        sent = sendmmsg(fd, &message, 1, MSG_FASTOPEN);
        if (sent == 1) say("messages 1, bytes %u", message.msg_len);
    } else {
        int on = 1;
        MUST(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on) == 0);
        say("connect %s", result(start(fd, &target)));
        wait_writable(fd);
        sent = send(fd, word, 4, 0);
    }
    say("sent %s", result(sent));
    wait_writable(fd);
    say("SO_ERROR %s", socket_error(fd));
    char buffer[8] = "";
    if (sent == -1) {
        echo(fd, "slow");
    } else {
        ssize_t n = receive(fd, buffer, sizeof buffer - 1);
        say("recv %s %s", result(n), buffer);
    }
    show_peer(fd);
}
