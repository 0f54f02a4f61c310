/* A thread is cancelled while it waits in connect, in sendmsg or in sendto. MORE: connect, timed
 * (SO_SNDTIMEO, so that the agent holds the socket), sendmsg, sendto. */
#include "transcript.h"
#include <pthread.h>

static struct target target;
static const char *what;

static void clean(void *word) { say("%s", (const char *)word); }

static void *wait_there(void *unused) {
    char bytes[65536] = "";
    int pair[2], fd = -1;
    (void)unused;
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    pthread_cleanup_push(clean, "cleaned up");
    if (!strcmp(what, "sendmsg"))
        for (;;) {
            struct iovec part = {bytes, sizeof bytes};
            struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
            sendmsg(pair[0], &message, 0);
        }
    if (!strcmp(what, "sendto"))
        for (;;) sendto(pair[0], bytes, sizeof bytes, 0, NULL, 0);
    fd = open_socket(&target);
    struct timeval minute = {60, 0};
    if (!strcmp(what, "timed")) MUST(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &minute, sizeof minute) == 0);
    say("connect %s", result(start(fd, &target)));
    pthread_cleanup_pop(0);
    return NULL;
}

int main(int argc, char **argv) {
    target = parse(argc, argv);
    what = argv[5];
    pthread_t thread;
    void *ended;
    MUST(pthread_create(&thread, NULL, wait_there, NULL) == 0);
    usleep(300000);
    double begin = now();
    MUST(pthread_cancel(thread) == 0 && pthread_join(thread, &ended) == 0);
    say("%s %s", ended == PTHREAD_CANCELED ? "cancelled" : "ended", now() - begin < 8 ? "at once" : "late");
    return 0;
}
