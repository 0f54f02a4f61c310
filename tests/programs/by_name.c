/* HOST PORT WAY: the first line that is said there. WAY is "blocking", "epoll", or "numbers": blocking, each call by an
 * instruction of its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fail(const char *what) {
    printf("%s: %s\n", what, strerror(errno));
    return 1;
}

/* x86_64's convention; elsewhere libc's function, which is none of the socket functions either. */
static long number(long call, long a, long b, long c) {
#ifdef __x86_64__
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(call), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    if (result >= 0) return result;
    errno = (int)-result;
    return -1;
#else
    return syscall(call, a, b, c);
#endif
}

static int waited(int fd) {
    int error;
    socklen_t size = sizeof error;
    struct epoll_event event = {.events = EPOLLOUT};
    int set = epoll_create1(0);
    if (set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) || epoll_wait(set, &event, 1, 20000) != 1) return -1;
    close(set);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size)) return -1;
    errno = error;
    return error ? -1 : 0;
}

int main(int argc, char **argv) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    if (argc != 4) return 2;
    int epoll = !strcmp(argv[3], "epoll"), numbers = !strcmp(argv[3], "numbers");
    int code = getaddrinfo(argv[1], argv[2], &hints, &found);
    if (code) {
        printf("getaddrinfo: %s\n", gai_strerror(code));
        return 1;
    }
    int kind = SOCK_STREAM | (epoll ? SOCK_NONBLOCK : 0);
    int fd = numbers ? (int)number(SYS_socket, AF_INET, kind, 0) : socket(AF_INET, kind, 0);
    if (fd < 0) return fail("socket");
    int done = numbers ? (int)number(SYS_connect, fd, (long)found->ai_addr, found->ai_addrlen)
                       : connect(fd, found->ai_addr, found->ai_addrlen);
    if (done && epoll && errno == EINPROGRESS) done = waited(fd);
    if (done) return fail("connect");
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    if (getpeername(fd, (void *)&peer, &size)) return fail("getpeername");
    if (ntohs(peer.sin_port) != atoi(argv[2])) return fail("another peer");
    if (epoll) {
        struct epoll_event event = {.events = EPOLLIN};
        int set = epoll_create1(0);
        if (set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) || epoll_wait(set, &event, 1, 20000) != 1)
            return fail("epoll");
    }
    char line[64];
    ssize_t count = read(fd, line, sizeof line);
    if (count <= 0) return fail("read");
    return write(1, line, count) == count ? 0 : 1;
}
