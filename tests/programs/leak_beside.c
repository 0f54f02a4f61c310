/* Ways past the names that a preloaded library takes: instructions, io_uring, libc under other handles. */
#include "leak.h"
#include <dlfcn.h>
#include <linux/io_uring.h>
#include <sys/mman.h>

static long bare(long number, long a, long b, long c, long d, long e, long f) {
#if defined __x86_64__
    register long fourth __asm__("r10") = d;
    register long fifth __asm__("r8") = e;
    register long sixth __asm__("r9") = f;
    __asm__ volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth) : "rcx", "r11", "memory");
    return number;
#else
    register long eighth __asm__("x8") = number;
    register long first __asm__("x0") = a;
    register long second __asm__("x1") = b;
    register long third __asm__("x2") = c;
    register long fourth __asm__("x3") = d;
    register long fifth __asm__("x4") = e;
    register long sixth __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(first) : "r"(eighth), "r"(second), "r"(third), "r"(fourth), "r"(fifth), "r"(sixth) : "memory");
    return first;
#endif
}

static int by_instruction(void) {
    Address to = address_of(FAR, ECHO);
    long fd = bare(SYS_socket, AF_INET, SOCK_STREAM, 0, 0, 0, 0);
    long answer = bare(SYS_connect, fd, (long)&to, size_of(&to), 0, 0, 0);
    errno = (int)-answer;
    return answer < 0 ? fails("connect") : talks((int)fd);
}

static int datagram_by_instruction(void) {
    Address to = address_of(FAR, ECHO);
    long fd = bare(SYS_socket, AF_INET, SOCK_DGRAM, 0, 0, 0, 0);
    long answer = bare(SYS_sendto, fd, (long)"word", 4, 0, (long)&to, size_of(&to));
    errno = (int)-answer;
    return answer < 0 ? fails("sendto") : echoed((int)fd);
}

/* One operation by a ring; its result, or -1 without a ring. */
static int ring(struct io_uring_sqe operation, int *result) {
    struct io_uring_params setup = {0};
    int fd = (int)syscall(SYS_io_uring_setup, 4, &setup);
    if (fd < 0) return -1;
    size_t size = setup.sq_off.array + setup.sq_entries * sizeof(unsigned);
    size_t other = setup.cq_off.cqes + setup.cq_entries * sizeof(struct io_uring_cqe);
    char *queue = mmap(NULL, size > other ? size : other, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING);
    struct io_uring_sqe *entries = mmap(NULL, 4 * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQES);
    entries[0] = operation;
    *(unsigned *)(queue + setup.sq_off.array) = 0;
    __atomic_store_n((unsigned *)(queue + setup.sq_off.tail), 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1) return -1;
    *result = ((struct io_uring_cqe *)(queue + setup.cq_off.cqes))->res;
    close(fd);
    return 0;
}

/* As runtimes do: where no ring is to be had, the ordinary calls. FALLBACK says whether. */
static int by_ring(const char *way, int fallback) {
    Address to = address_of(FAR, ECHO);
    int result = -1, fd = -1;
    if (!strcmp(way, "socket")) {
        struct io_uring_sqe make = {.opcode = 45 /* IORING_OP_SOCKET */, .fd = AF_INET, .off = SOCK_STREAM};
        if (ring(make, &fd) < 0 || fd < 0) cannot("make a socket by a ring");
    } else {
        fd = opened(AF_INET, strcmp(way, "sendmsg") ? SOCK_STREAM : SOCK_DGRAM, 0);
    }
    struct iovec part = {"word", 4};
    struct msghdr message = {.msg_name = &to, .msg_namelen = size_of(&to), .msg_iov = &part, .msg_iovlen = 1};
    struct io_uring_sqe operation = {.opcode = IORING_OP_CONNECT, .fd = fd, .addr = (unsigned long)&to, .off = size_of(&to)};
    if (!strcmp(way, "sendmsg"))
        operation = (struct io_uring_sqe){.opcode = IORING_OP_SENDMSG, .fd = fd, .addr = (unsigned long)&message, .len = 1};
    if (ring(operation, &result) < 0) {
        if (!fallback) cannot("make a ring");
        printf("no ring: %s\n", strerror(errno));
        return connected(fd, FAR);
    }
    errno = -result;
    if (result < 0) return fails(way);
    return strcmp(way, "sendmsg") ? talks(fd) : echoed(fd);
}

static int by_symbol(void *handle) {
    int (*found)(int, const struct sockaddr *, socklen_t) = (__typeof__(found))dlsym(handle, "connect");
    Address to = address_of(FAR, ECHO);
    if (!found) return fails("dlsym");
    int fd = opened(AF_INET, SOCK_STREAM, 0);
    return found(fd, &to.any, size_of(&to)) < 0 ? fails("connect") : talks(fd);
}

static int by_module(void *handle) {
    int (*found)(const char *, void *, char *, size_t, int *) =
        handle ? (__typeof__(found))dlsym(handle, "_nss_leak_getpwnam_r") : NULL;
    int error;
    if (!found) {
        printf("%s\n", dlerror());
        return 1;
    }
    found("", NULL, NULL, 0, &error);
    return 0;
}

#if defined __x86_64__
/* The calls of a 32-bit program, by the old gate. */
static int by_the_old_gate(void) {
    Address *to = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    *to = address_of(FAR, ECHO);
    int fd = 359, answer = 362;
    __asm__ volatile("int $0x80" : "+a"(fd) : "b"(AF_INET), "c"(SOCK_STREAM), "d"(0) : "memory");
    errno = -fd;
    if (fd == -ENOSYS) cannot("make 32-bit calls");
    if (fd < 0) return fails("socket");
    __asm__ volatile("int $0x80" : "+a"(answer) : "b"(fd), "c"(to), "d"(size_of(to)) : "memory");
    errno = -answer;
    return answer < 0 ? fails("connect") : talks(fd);
}
#endif

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    const char *way = argv[1], *more = argc > 2 ? argv[2] : "";
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(way, "instruction")) return by_instruction();
    if (!strcmp(way, "datagram")) return datagram_by_instruction();
    if (!strcmp(way, "ring")) return by_ring(more, 0);
    if (!strcmp(way, "ring-or-not")) return by_ring("connect", 1);
    if (!strcmp(way, "handle")) return by_symbol(dlopen("libc.so.6", RTLD_NOW));
    if (!strcmp(way, "namespace")) return by_symbol(dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW));
    /* A library with a connect of its own inside. */
    if (!strcmp(way, "symbolic")) return by_symbol(dlopen(more, RTLD_NOW | RTLD_LOCAL));
    /* A library that is bound to libc before all others, and found by this program's run path alone. */
    if (!strcmp(way, "deep")) return by_module(dlopen(more, RTLD_NOW | RTLD_DEEPBIND));
#if defined __x86_64__
    if (!strcmp(way, "gate")) return by_the_old_gate();
#endif
    return fails(way);
}
