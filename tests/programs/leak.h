/* What the programs of the leak suite share. Each tries one way out: WAY, its last argument or the one before
 * what the way needs. It writes "through" if an echo came back by it, and ends with 77 ("cannot ...") where
 * this kernel or user has no such way. Only what every C library has is used. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))
#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif

/* Where every way leads to, unless it says otherwise: the echo server beyond the proxy. */
enum { ECHO = 7007, WAIT_MS = 10000, CANNOT = 77 };
#define FAR "10.99.0.1"
#define FAR6 "fd99::1"
#define MAPPED "::ffff:10.99.0.1"

typedef union { struct sockaddr any; struct sockaddr_in v4; struct sockaddr_in6 v6; } Address;

UNUSED static Address address_of(const char *host, int port) {
    Address address = {0};
    int six = strchr(host, ':') != NULL;
    address.any.sa_family = six ? AF_INET6 : AF_INET;
    address.v4.sin_port = htons(port);
    inet_pton(address.any.sa_family, host, six ? (void *)&address.v6.sin6_addr : (void *)&address.v4.sin_addr);
    return address;
}

UNUSED static socklen_t size_of(const Address *address) {
    return address->any.sa_family == AF_INET6 ? sizeof address->v6 : sizeof address->v4;
}

UNUSED static int fails(const char *what) {
    printf("%s: %s\n", what, strerror(errno));
    return 1;
}

/* For ways that not every kernel or user has. */
UNUSED static void cannot(const char *what) {
    printf("cannot %s: %s\n", what, strerror(errno));
    exit(CANNOT);
}

/* Whether a word comes back. */
UNUSED static int echoed(int fd) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    char word[8] = "";
    if (poll(&ready, 1, WAIT_MS) != 1 || read(fd, word, 4) != 4 || memcmp(word, "word", 4)) return fails("no echo");
    puts("through");
    return 0;
}

UNUSED static int talks(int fd) {
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    if (poll(&ready, 1, WAIT_MS) != 1 || write(fd, "word", 4) != 4) return fails("write");
    return echoed(fd);
}

UNUSED static int opened(int family, int type, int protocol) {
    int fd = socket(family, type, protocol);
    if (fd < 0) exit(fails("socket"));
    return fd;
}

/* A blocking connect that does not block for ever. */
UNUSED static int connected(int fd, const char *host) {
    Address to = address_of(host, ECHO);
    struct timeval limit = {WAIT_MS / 1000, 0};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, &to.any, size_of(&to)) < 0) return fails("connect");
    return talks(fd);
}
