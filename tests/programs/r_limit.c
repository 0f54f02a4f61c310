/* Eight threads connect, again and again, in a process that has no descriptor left. */
#include "transcript.h"
#include <pthread.h>

static struct target target;
static int failures;

static void *connects(void *socket) {
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    for (int i = 0; i < 40; i++) {
        int fd = (int)(intptr_t)socket;
        if (start(fd, &target) && errno != EINPROGRESS) __atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
        connect(fd, &none, sizeof none);
    }
    return NULL;
}

int main(int argc, char **argv) {
    target = parse(argc, argv);
    struct rlimit limit = {64, 4096};
    int sockets[8];
    pthread_t threads[8];
    MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (int i = 0; i < 8; i++) sockets[i] = open_socket(&target);
    while (dup(0) >= 0) {}
    for (int i = 0; i < 8; i++) MUST(!pthread_create(threads + i, NULL, connects, (void *)(intptr_t)sockets[i]));
    for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
    MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    say("soft %ld hard %ld failures %d", (long)limit.rlim_cur, (long)limit.rlim_max, failures);
    return 0;
}
