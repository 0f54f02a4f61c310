/* A socket that another process has connected. MORE: PATH of a Unix socket, and give, recvmsg or recvmmsg: who
 * gives connects and waits for somebody to whom to pass the socket; the others receive and use it. */
#include "transcript.h"
#include <sys/un.h>

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    MUST(argc == 7);
    const char *way = argv[6];
    bool gives = !strcmp(way, "give");
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    snprintf(place.sun_path, sizeof place.sun_path, "%s", argv[5]);
    int local = socket(AF_UNIX, SOCK_STREAM, 0), fd = -1;
    MUST(local >= 0);
    char byte = 'x';
    struct iovec part = {&byte, 1};
    union { char space[CMSG_SPACE(sizeof fd)]; struct cmsghdr header; } control = {0};
    struct mmsghdr message = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control}};
    if (gives) {
        fd = open_socket(&target);
        connect_and_wait(fd, &target);
        MUST(bind(local, (void *)&place, sizeof place) == 0 && listen(local, 1) == 0);
        say("listens");
        int client = accept(local, NULL, NULL);
        MUST(client >= 0);
        control.header = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
        MUST(sendmsg(client, &message.msg_hdr, 0) == 1);
        /* Until the other has ended. */
        MUST(recv(client, &byte, 1, 0) == 0);
        return 0;
    }
    MUST(connect(local, (void *)&place, sizeof place) == 0);
    if (!strcmp(way, "recvmsg"))
        MUST(recvmsg(local, &message.msg_hdr, MSG_CMSG_CLOEXEC) == 1);
    else
        MUST(recvmmsg(local, &message, 1, MSG_CMSG_CLOEXEC, NULL) == 1);
    MUST(control.header.cmsg_type == SCM_RIGHTS && message.msg_hdr.msg_controllen == sizeof control);
    memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
    say("cloexec %d, nonblocking %d", fcntl(fd, F_GETFD), !!(fcntl(fd, F_GETFL) & O_NONBLOCK));
    char text[8] = "";
    long sent = send(fd, "given", 5, MSG_NOSIGNAL);
    say("send %s", result(sent));
    if (sent == 5) {
        ssize_t n = receive(fd, text, sizeof text - 1);
        say("recv %s %s", result(n), text);
    } else {
        connect_and_wait(fd, &target);
        echo(fd, "anew");
    }
    return 0;
}
