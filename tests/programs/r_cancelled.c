/* A thread that is to be cancelled makes a call: it is cancelled there or goes on, and the program lives.
 * FAMILY MODE HOST PORT of a destination. */
#include "transcript.h"
#include <pthread.h>

static struct target target;

static void connects(void) { start(open_socket(&target), &target); }

static void dissolves(void) {
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    connect(open_socket(&target), &none, sizeof none);
}

static void sends(void) {
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, (void *)&own, sizeof own);
}

static void sends_many(void) {
    int pair[2];
    struct iovec part = {"x", 1};
    struct mmsghdr message = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    sendmmsg(pair[0], &message, 1, 0);
}

static void opens_fast(void) {
    sendto(open_socket(&target), "x", 1, MSG_FASTOPEN, (void *)&target.address, target.length);
}

static void resolves(void) {
    struct addrinfo *found;
    getaddrinfo("localhost", "80", NULL, &found);
    getaddrinfo("127.0.0.1", "http", NULL, &found);
    getaddrinfo("echo.test", "80", NULL, &found);
}

static void names(void) {
    char host[100];
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    getnameinfo((void *)&own, sizeof own, host, sizeof host, NULL, 0, 0);
}

static void looks_up(void) {
    gethostbyname("127.0.0.1");
    gethostbyname("echo.test");
    gethostbyaddr("\177\0\0\1", 4, AF_INET);
}

static void shell(void) { MUST(system("true") >= -1); }

static void pipes(void) { MUST(popen("true", "r") || errno); }

static const struct { const char *name; void (*make)(void); } calls[] = {
    {"connect", connects}, {"connect again", connects}, {"dissolve", dissolves}, {"sendto", sends},
    {"sendmmsg", sends_many}, {"fast open", opens_fast}, {"getaddrinfo", resolves}, {"getnameinfo", names},
    {"gethostbyname", looks_up}, {"system", shell}, {"popen", pipes},
};

static void *call(void *index) {
    pthread_cancel(pthread_self());
    calls[(intptr_t)index].make();
    return NULL;
}

int main(int argc, char **argv) {
    target = parse(argc, argv);
    /* The library learns at the first connect where it may hold sockets. */
    for (int i = 0; i < 2; i++) connects();
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        pid_t child = fork();
        int status;
        if (child == 0) {
            pthread_t thread;
            MUST(!pthread_create(&thread, NULL, call, (void *)i) && !pthread_join(thread, NULL));
            _exit(0);
        }
        MUST(waitpid(child, &status, 0) == child);
        say("%s: %s", calls[i].name, WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "lives");
    }
    return 0;
}
