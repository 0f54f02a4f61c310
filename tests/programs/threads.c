/* 500 connections from 16 threads, each with its own bytes. */
#include "transcript.h"
#include <pthread.h>

static struct target target;
static int good, wrong;

static void *work(void *number) {
    long thread = (long)number;
    for (int i = 0; i < 500 / 16 + (thread < 500 % 16); i++) {
        struct target mine = target;
        mine.nonblocking = i % 2;
        int fd = open_socket(&mine);
        char word[32], back[32] = "";
        snprintf(word, sizeof word, "thread %ld, %d", thread, i);
        int began = start(fd, &mine);
        bool ok = began == 0 || (mine.nonblocking && errno == EINPROGRESS);
        struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
        ok = ok && poll(&poll_fd, 1, WAIT_MS) == 1 && !strcmp(socket_error(fd), "0");
        ok = ok && send(fd, word, sizeof word, 0) == sizeof word && receive(fd, back, sizeof back) == sizeof back;
        ok = ok && !memcmp(word, back, sizeof word);
        __atomic_add_fetch(ok ? &good : &wrong, 1, __ATOMIC_RELAXED);
        if (!ok) fprintf(stderr, "%s: %s\n", word, strerror(errno));
        close(fd);
    }
    return NULL;
}

int main(int argc, char **argv) {
    target = parse(argc, argv);
    pthread_t threads[16];
    for (long i = 0; i < 16; i++) MUST(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    for (int i = 0; i < 16; i++) pthread_join(threads[i], NULL);
    say("good %d, wrong %d", good, wrong);
}
