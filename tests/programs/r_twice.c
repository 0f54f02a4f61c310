/* Two threads connect one socket at the same moment, 300 times. */
#include "transcript.h"
#include <pthread.h>

static struct target target;
static pthread_barrier_t together;

static void *connects(void *fd) {
    pthread_barrier_wait(&together);
    if (start((int)(intptr_t)fd, &target) && errno != EINPROGRESS && errno != EALREADY && errno != EISCONN)
        say("connect %s", errno_name(errno));
    return NULL;
}

int main(int argc, char **argv) {
    target = parse(argc, argv);
    pthread_barrier_init(&together, NULL, 2);
    int hung = 0, failed = 0;
    for (int i = 0; i < 300 && hung < 3; i++) {
        int fd = open_socket(&target);
        pthread_t threads[2];
        for (int j = 0; j < 2; j++) MUST(!pthread_create(threads + j, NULL, connects, (void *)(intptr_t)fd));
        for (int j = 0; j < 2; j++) pthread_join(threads[j], NULL);
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        if (poll(&ready, 1, 20000) == 0)
            hung++;
        else if (strcmp(socket_error(fd), "0"))
            failed++;
        close(fd);
    }
    say("hung %d failed %d", hung, failed);
    return 0;
}
