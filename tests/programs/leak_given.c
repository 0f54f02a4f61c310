/* What others do for a program, or have given it: WAY MORE. */
#include "leak.h"
#include <sys/un.h>

/* Makes a socket and becomes another program, which finds it as descriptor 9. */
static int hand_down(char **words) {
    int fd = opened(AF_INET, SOCK_DGRAM, 0);
    Address to = address_of(FAR, ECHO);
    if (connect(fd, &to.any, size_of(&to)) < 0 || dup2(fd, 9) < 0) return fails("connect");
    close(fd);
    execvp(words[0], words);
    return fails("execvp");
}

static int at(const char *path) {
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    snprintf(place.sun_path, sizeof place.sun_path, "%s", path);
    int fd = opened(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (void *)&place, sizeof place) < 0) exit(fails("connect"));
    return fd;
}

/* The socket that the helper hands over. */
static int received(const char *path, int many) {
    char byte;
    int fd = -1;
    struct iovec part = {&byte, 1};
    union { char space[CMSG_SPACE(sizeof fd)]; struct cmsghdr header; } control = {0};
    struct mmsghdr message = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control}};
    int helper = at(path);
    if (write(helper, "s", 1) != 1) return fails("write");
    if ((many ? recvmmsg(helper, &message, 1, 0, NULL) : recvmsg(helper, &message.msg_hdr, 0)) != 1) return fails("recvmsg");
    if (!message.msg_hdr.msg_controllen) return fails("nothing handed over");
    memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
    return write(fd, "word", 4) == 4 ? echoed(fd) : fails("write");
}

static int listening(void) {
    Address any = address_of("0.0.0.0", 7777);
    int one = 1, fd = opened(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, &any.any, size_of(&any)) || listen(fd, 4)) return fails("listen");
    puts("listens");
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (poll(&ready, 1, WAIT_MS) != 1) return fails("nobody came");
    return write(accept(fd, NULL, NULL), "in", 2) == 2 ? 0 : fails("write");
}

/* A thread changes what is judged, in between: the address (flip), its family (family), the socket behind the
 * descriptor (dup), the address of a datagram (message). */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
static Address judged;
static bool done;
static int fresh, local;

enum { SLOT = 500 };

/* Where both threads share a processor, each must meet what the other has left. */
static void now_and_then(void) {
    static _Thread_local unsigned times;
    if (++times % 31 == 0) sched_yield();
}

static bool goes_on(void) {
    now_and_then();
    return !__atomic_load_n(&done, __ATOMIC_RELAXED);
}

static void *flipping(void *unused) {
    while (goes_on()) {
        __atomic_store_n(&judged.v4.sin_addr.s_addr, htonl(0x0a630001), __ATOMIC_RELAXED);
        now_and_then();
        __atomic_store_n(&judged.v4.sin_addr.s_addr, htonl(0x7f000001), __ATOMIC_RELAXED);
    }
    return unused;
}

static void *changing(void *unused) {
    while (goes_on()) {
        __atomic_store_n(&judged.v4.sin_family, AF_INET, __ATOMIC_RELAXED);
        now_and_then();
        __atomic_store_n(&judged.v4.sin_family, AF_UNIX, __ATOMIC_RELAXED);
    }
    return unused;
}

static void *moving(void *unused) {
    while (goes_on()) {
        dup2(__atomic_load_n(&fresh, __ATOMIC_RELAXED), SLOT);
        now_and_then();
        dup2(local, SLOT);
    }
    return unused;
}

static int raced(const char *way, int tries) {
    bool dup = !strcmp(way, "dup"), message = !strcmp(way, "message"), family = !strcmp(way, "family");
    pthread_t thread;
    struct iovec part = {"word", 4};
    struct msghdr header = {.msg_name = &judged, .msg_namelen = sizeof judged.v4, .msg_iov = &part, .msg_iovlen = 1};
    judged = address_of(family || dup ? FAR : "127.0.0.1", 7099);
    local = opened(AF_UNIX, SOCK_STREAM, 0);
    fresh = opened(AF_INET, message ? SOCK_DGRAM : SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (pthread_create(&thread, NULL, dup ? moving : family ? changing : flipping, NULL)) return fails("pthread_create");
    for (int i = 0; i < tries; i++) {
        now_and_then();
        if (message) {
            sendmsg(fresh, &header, MSG_DONTWAIT);
            continue;
        }
        connect(dup ? SLOT : fresh, &judged.any, sizeof judged.v4);
        int old = fresh, next = opened(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        __atomic_store_n(&fresh, next, __ATOMIC_RELAXED);
        close(old);
    }
    __atomic_store_n(&done, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    puts("tried");
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    const char *way = argv[1], *more = argc > 2 ? argv[2] : "";
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(way, "hand-down")) return hand_down(argv + 2);
    if (!strcmp(way, "handed-down")) return write(9, "word", 4) == 4 ? echoed(9) : fails("write");
    if (!strcmp(way, "recvmsg")) return received(more, 0);
    if (!strcmp(way, "recvmmsg")) return received(more, 1);
    if (!strcmp(way, "ask")) {
        int helper = at(more);
        char answer;
        return write(helper, "q", 1) == 1 && read(helper, &answer, 1) == 1 ? 0 : fails("ask");
    }
    if (!strcmp(way, "tell")) {
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        strncpy(to.sun_path, more, sizeof to.sun_path - 1);
        int teller = opened(AF_UNIX, SOCK_DGRAM, 0);
        return sendto(teller, "q", 1, 0, (struct sockaddr *)&to, sizeof to) == 1 ? 0 : fails("tell");
    }
    if (!strcmp(way, "listen")) return listening();
    if (!strcmp(way, "race")) return raced(more, argc > 3 ? atoi(argv[3]) : 0);
    return fails(way);
}
