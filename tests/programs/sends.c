/* Datagrams of a program that has a socket from whom it has it. Arguments: WHAT HOST PORT [PROGRAM], HOST of IPv4.
 *
 *   alone     its own, and ends at once
 *   daemon    its parent's, which has ended
 *   thread    of a thread that has ended
 *   long      its own, after PROGRAM has made thousands
 *   past      the same, by one that is connected to somebody else
 *   many      makes these, and sends nothing
 *   hands     makes one, and executes PROGRAM, which sends by it
 *   by        the one that was handed
 *   hidden    its own, and lets nobody look at it; says what comes of it
 *
 * What is sent is WHAT. */
#include "transcript.h"
#include <pthread.h>
#include <sys/prctl.h>

static int udp(void) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    MUST(fd >= 0);
    return fd;
}

static void *make(void *fd) {
    *(int *)fd = udp();
    return NULL;
}

int main(int argc, char **argv) {
    MUST(argc >= 4);
    const char *what = argv[1];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[3]))};
    MUST(inet_pton(AF_INET, argv[2], &to.sin_addr) == 1);
    if (!strcmp(what, "many")) {
        for (int i = 0; i < 4200; i++) MUST(close(udp()) == 0);
        return 0;
    }
    if (!strcmp(what, "hidden")) MUST(prctl(PR_SET_DUMPABLE, 0) == 0);
    int fd = 9;
    if (!strcmp(what, "thread")) {
        pthread_t thread;
        MUST(pthread_create(&thread, NULL, make, &fd) == 0 && pthread_join(thread, NULL) == 0);
    } else if (strcmp(what, "by")) {
        fd = udp();
    }
    if (!strcmp(what, "daemon")) {
        pid_t parent = getpid();
        if (fork()) _exit(0);
        while (getppid() == parent) usleep(10000);
    }
    bool later = !strcmp(what, "long") || !strcmp(what, "past");
    if (!strcmp(what, "past")) {
        struct sockaddr_in other = to;
        other.sin_port = htons(9);
        MUST(connect(fd, (struct sockaddr *)&other, sizeof other) == 0);
    }
    if (later && fork() == 0) {
        execl(argv[4], argv[4], "many", argv[2], argv[3], (char *)NULL);
        _exit(1);
    }
    if (later) {
        int status;
        MUST(wait(&status) > 0 && status == 0);
    }
    if (!strcmp(what, "hands")) {
        MUST(dup2(fd, 9) == 9);
        execl(argv[4], argv[4], "by", argv[2], argv[3], (char *)NULL);
        return 1;
    }
    int on = 1;
    /* What becomes of it is told to a socket that is not connected, too. */
    MUST(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on) == 0);
    ssize_t length = strlen(what);
    MUST(sendto(fd, what, length, 0, (struct sockaddr *)&to, sizeof to) == length);
    if (!strcmp(what, "hidden")) {
        struct timeval patience = {.tv_sec = 20};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        char data[9];
        say("%s", recv(fd, data, sizeof data, 0) < 0 ? errno_name(errno) : "answered");
    } else if (strcmp(what, "alone")) {
        /* Until it was seen whose it is. */
        usleep(500000);
    }
    return 0;
}
