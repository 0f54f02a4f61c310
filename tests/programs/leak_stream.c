/* Ways of a stream by libc's own functions. */
#include "leak.h"
#include <dlfcn.h>

static int unspecified(int fd) {
    Address none = {0};
    return connect(fd, &none.any, sizeof none.v4);
}

static int fast_open(const char *way) {
    int fd = opened(AF_INET, SOCK_STREAM, 0);
    Address to = address_of(FAR, ECHO);
    struct iovec part = {"word", 4};
    struct mmsghdr message = {.msg_hdr = {.msg_name = &to, .msg_namelen = size_of(&to), .msg_iov = &part, .msg_iovlen = 1}};
    struct timeval limit = {WAIT_MS / 1000, 0};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    long sent = -1;
    if (!strcmp(way, "sendto")) sent = sendto(fd, "word", 4, MSG_FASTOPEN, &to.any, size_of(&to));
    if (!strcmp(way, "sendmsg")) sent = sendmsg(fd, &message.msg_hdr, MSG_FASTOPEN);
    if (!strcmp(way, "sendmmsg")) sent = sendmmsg(fd, &message, 1, MSG_FASTOPEN);
    if (!strcmp(way, "option")) {
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, 30 /* TCP_FASTOPEN_CONNECT */, &one, sizeof one);
        return connected(fd, FAR);
    }
    return sent < 0 ? fails(way) : echoed(fd);
}

/* Both ends of a connection within this machine. */
static void pair(int *listener, int *client, int *server) {
    Address here = address_of("0.0.0.0", 0);
    socklen_t size = sizeof here.v4;
    *listener = opened(AF_INET, SOCK_STREAM, 0);
    *client = opened(AF_INET, SOCK_STREAM, 0);
    if (bind(*listener, &here.any, size) || listen(*listener, 1) || getsockname(*listener, &here.any, &size)
        || !inet_pton(AF_INET, "127.0.0.1", &here.v4.sin_addr) || connect(*client, &here.any, size) || (*server = accept(*listener, NULL, NULL)) < 0)
        exit(fails("pair"));
}

static int reused(const char *way) {
    int listener, client, server;
    pair(&listener, &client, &server);
    if (!strcmp(way, "accepted")) return unspecified(server) ? fails("unspecified") : connected(server, FAR);
    if (!strcmp(way, "connected")) return unspecified(client) ? fails("unspecified") : connected(client, FAR);
    shutdown(listener, SHUT_RDWR);
    return connected(listener, FAR);
}

/* A sibling gets the socket before it is connected. */
static int passed(void) {
    int ends[2], fd = opened(AF_INET, SOCK_STREAM, 0);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) return fails("socketpair");
    char byte = 'x';
    struct iovec part = {&byte, 1};
    union { char space[CMSG_SPACE(sizeof fd)]; struct cmsghdr header; } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    pid_t sibling = fork();
    if (!sibling) {
        if (recvmsg(ends[1], &message, 0) != 1) _exit(fails("recvmsg"));
        memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
        int bad = connected(fd, FAR);
        fflush(stdout);
        _exit(bad);
    }
    control.header.cmsg_len = CMSG_LEN(sizeof fd);
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    if (sendmsg(ends[0], &message, 0) != 1) return fails("sendmsg");
    close(fd);
    int status = 0;
    waitpid(sibling, &status, 0);
    return WEXITSTATUS(status);
}

static int copies(const char *way) {
    int fd = opened(AF_INET, SOCK_STREAM, 0), other = -1;
    if (!strcmp(way, "dup")) other = dup(fd);
    if (!strcmp(way, "dup3")) other = dup3(fd, 200, O_CLOEXEC);
    if (!strcmp(way, "fcntl")) other = fcntl(fd, F_DUPFD_CLOEXEC, 300);
    close(fd);
    return connected(other, FAR);
}

static int after_close_range(void) {
    syscall(SYS_close_range, 3, ~0U, 0);
    return connected(opened(AF_INET, SOCK_STREAM, 0), FAR);
}

static int forked(void) {
    int fd = opened(AF_INET, SOCK_STREAM, 0), status = 0;
    if (!fork()) {
        int bad = connected(fd, FAR);
        fflush(stdout);
        _exit(bad);
    }
    wait(&status);
    return WEXITSTATUS(status);
}

static int by_next(void) {
    int (*next)(int, const struct sockaddr *, socklen_t) = (__typeof__(next))dlsym(RTLD_NEXT, "connect");
    int fd = opened(AF_INET, SOCK_STREAM, 0);
    Address to = address_of(FAR, ECHO);
    return next(fd, &to.any, size_of(&to)) < 0 ? fails("connect") : talks(fd);
}

/* Numbers that are no concern of a network wrapper must be the kernel's. */
static int by_number(void) {
    static const long others[] = {SYS_getpid, SYS_gettid, SYS_getuid, SYS_sched_yield, SYS_getppid, SYS_umask, SYS_getpgid};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (syscall(others[i], 0) < 0) return fails("syscall");
    if (syscall(9999) != -1 || errno != ENOSYS) return fails("number 9999");
    int fd = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
    Address to = address_of(FAR, ECHO);
    return syscall(SYS_connect, fd, &to, size_of(&to)) < 0 ? fails("connect") : talks(fd);
}

int __connect(int, const struct sockaddr *, socklen_t);

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    const char *way = argv[1], *more = argc > 2 ? argv[2] : "";
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(way, "fast-open")) return fast_open(more);
    if (!strcmp(way, "reused")) return reused(more);
    if (!strcmp(way, "copy")) return copies(more);
    if (!strcmp(way, "passed")) return passed();
    if (!strcmp(way, "close-range")) return after_close_range();
    if (!strcmp(way, "forked")) return forked();
    if (!strcmp(way, "next")) return by_next();
    if (!strcmp(way, "number")) return by_number();
    if (!strcmp(way, "v6")) return connected(opened(AF_INET6, SOCK_STREAM, 0), FAR6);
    if (!strcmp(way, "mapped")) return connected(opened(AF_INET6, SOCK_STREAM, 0), MAPPED);
    if (!strcmp(way, "alias")) {
        int fd = opened(AF_INET, SOCK_STREAM, 0);
        Address to = address_of(FAR, ECHO);
        return __connect(fd, &to.any, size_of(&to)) < 0 ? fails("__connect") : talks(fd);
    }
    /* Kernels need not have these. */
    int smc = !strcmp(way, "smc"), fd = socket(smc ? 43 : AF_INET, SOCK_STREAM, smc ? 0 : 262);
    if (fd < 0) cannot(way);
    return connected(fd, FAR);
}
