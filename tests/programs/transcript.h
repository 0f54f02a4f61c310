/* What the conformance programs share. Each writes a transcript of what it saw; the same program
 * must write the same transcript natively and under underpass, so nothing that differs between
 * two runs anyway (ports, times) may be written.
 *
 * Arguments of every program: FAMILY MODE HOST PORT [MORE...]
 *   FAMILY  v4, v6 or mapped (an IPv6 socket and ::ffff:a.b.c.d)
 *   MODE    blocking or nonblocking
 *   HOST    N, which is 10.99.0.N or fd99::N
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

struct target {
    int family;
    bool mapped, nonblocking;
    const char *host;
    struct sockaddr_storage address;
    socklen_t length;
};

/* Longer than the slowest case, shorter than the harness's own limit. */
enum { WAIT_MS = 50000 };

__attribute__((unused, format(printf, 1, 2))) static void say(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

/* A mistake of the test itself, not something to compare. */
#define MUST(condition)                                                                          \
    do {                                                                                         \
        if (!(condition)) {                                                                      \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno)); \
            exit(99);                                                                            \
        }                                                                                        \
    } while (0)

__attribute__((unused)) static const char *errno_name(int number) {
    const char *name = number ? strerrorname_np(number) : "0";
    return name ? name : "?";
}

/* "0", "5", or the name of errno. */
__attribute__((unused)) static const char *result(long value) {
    static _Thread_local char text[32];
    if (value == -1) return errno_name(errno);
    snprintf(text, sizeof text, "%ld", value);
    return text;
}

/* The bits of poll(2), which are those of epoll(7). */
__attribute__((unused)) static const char *events(unsigned bits) {
    static const struct { unsigned bit; const char *name; } names[] = {
        {POLLIN, "IN"}, {POLLOUT, "OUT"}, {POLLERR, "ERR"}, {POLLHUP, "HUP"}, {POLLRDHUP, "RDHUP"}, {POLLNVAL, "NVAL"},
    };
    static _Thread_local char text[64];
    text[0] = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bits & names[i].bit) {
            if (text[0]) strcat(text, "|");
            strcat(text, names[i].name);
        }
    return text[0] ? text : "none";
}

__attribute__((unused)) static void set_port(struct target *target, int port) {
    /* The port is at the same place in both kinds of address. */
    ((struct sockaddr_in *)&target->address)->sin_port = htons(port);
}

__attribute__((unused)) static void set_host(struct target *target, const char *host) {
    struct sockaddr_in *v4 = (void *)&target->address;
    struct sockaddr_in6 *v6 = (void *)&target->address;
    in_port_t port = v4->sin_port;
    char text[64];
    memset(&target->address, 0, sizeof target->address);
    const char *format = target->mapped ? "::ffff:10.99.0.%s" : target->family == AF_INET ? "10.99.0.%s" : "fd99::%s";
    snprintf(text, sizeof text, format, host);
    target->length = target->family == AF_INET ? sizeof *v4 : sizeof *v6;
    target->address.ss_family = target->family;
    void *bytes = target->family == AF_INET ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr;
    MUST(inet_pton(target->family, text, bytes) == 1);
    v4->sin_port = port;
}

__attribute__((unused)) static struct target parse(int argc, char **argv) {
    MUST(argc >= 5);
    struct target target = {.family = AF_INET6};
    target.mapped = !strcmp(argv[1], "mapped");
    if (!strcmp(argv[1], "v4")) target.family = AF_INET;
    target.nonblocking = !strcmp(argv[2], "nonblocking");
    target.host = argv[3];
    set_host(&target, argv[3]);
    set_port(&target, atoi(argv[4]));
    signal(SIGPIPE, SIG_IGN);
    return target;
}

__attribute__((unused)) static int open_socket(const struct target *target) {
    int fd = socket(target->family, SOCK_STREAM | (target->nonblocking ? SOCK_NONBLOCK : 0), 0);
    MUST(fd >= 0);
    return fd;
}

__attribute__((unused)) static int start(int fd, const struct target *target) {
    return connect(fd, (const struct sockaddr *)&target->address, target->length);
}

__attribute__((unused)) static const char *socket_error(int fd) {
    int error = -1;
    socklen_t length = sizeof error;
    MUST(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && length == sizeof error);
    return errno_name(error);
}

/* Waits until writable; writes what poll and SO_ERROR say. */
__attribute__((unused)) static void wait_writable(int fd) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    int count = poll(&poll_fd, 1, WAIT_MS);
    say("poll %s %s", result(count), events(poll_fd.revents));
}

/* connect(), and the wait for it if it is not done. */
__attribute__((unused)) static void connect_and_wait(int fd, const struct target *target) {
    say("connect %s", result(start(fd, target)));
    wait_writable(fd);
    say("SO_ERROR %s", socket_error(fd));
}

/* recv() that waits for data also on a non-blocking socket. */
__attribute__((unused)) static ssize_t receive(int fd, void *buffer, size_t size) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    if (poll(&poll_fd, 1, WAIT_MS) == 0) {
        errno = ETIME;
        return -1;
    }
    return recv(fd, buffer, size, 0);
}

/* Sends a word to an echo server and writes what comes back. */
__attribute__((unused)) static void echo(int fd, const char *word) {
    char buffer[256] = "";
    ssize_t sent = send(fd, word, strlen(word), 0);
    say("send %s", result(sent));
    if (sent < 0) return;
    size_t got = 0;
    while (got < (size_t)sent) {
        ssize_t n = receive(fd, buffer + got, sizeof buffer - 1 - got);
        if (n <= 0) {
            say("recv %s", result(n));
            return;
        }
        got += n;
    }
    say("echo %s", buffer);
}

__attribute__((unused)) static const char *address_text(const struct sockaddr_storage *address) {
    static _Thread_local char text[80];
    char host[INET6_ADDRSTRLEN];
    const void *bytes = address->ss_family == AF_INET ? (void *)&((struct sockaddr_in *)address)->sin_addr
                                                      : (void *)&((struct sockaddr_in6 *)address)->sin6_addr;
    MUST(inet_ntop(address->ss_family, bytes, host, sizeof host));
    snprintf(text, sizeof text, "%s %d", host, ntohs(((struct sockaddr_in *)address)->sin_port));
    return text;
}

__attribute__((unused)) static void show_peer(int fd) {
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    if (getpeername(fd, (void *)&address, &length) == 0)
        say("peer %s, %u bytes", address_text(&address), length);
    else
        say("peer %s", errno_name(errno));
}

/* The shape of getsockname(): the address itself depends on the route. */
__attribute__((unused)) static void show_local(int fd) {
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    MUST(getsockname(fd, (void *)&address, &length) == 0);
    const struct sockaddr_in *v4 = (void *)&address;
    const struct in6_addr *v6 = &((struct sockaddr_in6 *)&address)->sin6_addr;
    bool inet = address.ss_family == AF_INET, mapped = !inet && IN6_IS_ADDR_V4MAPPED(v6);
    bool loopback = inet ? ntohl(v4->sin_addr.s_addr) >> 24 == 127
                         : IN6_IS_ADDR_LOOPBACK(v6) || (mapped && v6->s6_addr[12] == 127);
    bool any = inet ? v4->sin_addr.s_addr == 0 : IN6_IS_ADDR_UNSPECIFIED(v6);
    say("local %s %s, %s, %u bytes", inet ? "AF_INET" : "AF_INET6", loopback ? "loopback" : any ? "any" : "address",
        v4->sin_port ? "port" : "no port", length);
}

__attribute__((unused)) static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}
