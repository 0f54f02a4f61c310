/* What the program set on its socket, and the socket's identity, stay. */
#include "transcript.h"

static const struct { int level, option, value; const char *name; } options[] = {
    {SOL_SOCKET, SO_RCVBUF, 50000, "SO_RCVBUF"},
    {SOL_SOCKET, SO_SNDBUF, 60000, "SO_SNDBUF"},
    {SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE"},
    {SOL_SOCKET, SO_PRIORITY, 3, "SO_PRIORITY"},
    {SOL_SOCKET, SO_RCVLOWAT, 1, "SO_RCVLOWAT"},
    {IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY"},
    {IPPROTO_TCP, TCP_KEEPIDLE, 77, "TCP_KEEPIDLE"},
    {IPPROTO_TCP, TCP_KEEPINTVL, 7, "TCP_KEEPINTVL"},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, 20000, "TCP_USER_TIMEOUT"},
    {IPPROTO_TCP, TCP_QUICKACK, 1, "TCP_QUICKACK"},
};
enum { COUNT = sizeof options / sizeof *options };

static void show(int fd, ino_t inode) {
    struct stat status;
    MUST(fstat(fd, &status) == 0);
    say("same inode: %s", status.st_ino == inode ? "yes" : "no");
    say("O_NONBLOCK %s, FD_CLOEXEC %s", fcntl(fd, F_GETFL) & O_NONBLOCK ? "on" : "off",
        fcntl(fd, F_GETFD) & FD_CLOEXEC ? "on" : "off");
    for (int i = 0; i < COUNT; i++) {
        int value = -1;
        socklen_t length = sizeof value;
        if (options[i].option == TCP_QUICKACK && options[i].level == IPPROTO_TCP) continue;
        MUST(getsockopt(fd, options[i].level, options[i].option, &value, &length) == 0);
        say("%s %d", options[i].name, value);
    }
    struct linger linger;
    socklen_t length = sizeof linger;
    MUST(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length) == 0);
    say("SO_LINGER %d %d", linger.l_onoff, linger.l_linger);
    struct timeval time;
    length = sizeof time;
    MUST(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, &length) == 0);
    say("SO_RCVTIMEO %ld", (long)time.tv_sec);
    MUST(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, &length) == 0);
    say("SO_SNDTIMEO %ld", (long)time.tv_sec);
}

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    int fd = open_socket(&target);
    struct stat status;
    MUST(fstat(fd, &status) == 0);
    MUST(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
    for (int i = 0; i < COUNT; i++)
        MUST(setsockopt(fd, options[i].level, options[i].option, &options[i].value, sizeof(int)) == 0);
    struct linger linger = {1, 2};
    MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
    struct timeval time = {.tv_sec = 9};
    MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) == 0);
    MUST(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time) == 0);
    if (target.family == AF_INET) {
        int tos = 0x10;
        MUST(setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos) == 0);
    }
    show(fd, status.st_ino);
    connect_and_wait(fd, &target);
    show(fd, status.st_ino);
    echo(fd, "options");
}
