/* A process that confines itself as those of a browser do: a question about a socket's options ends it. Then it does with a pair of
   Unix sockets what a message loop does. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENDED_BY(number) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

static int confined(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ENDED_BY(__NR_getsockopt),
        ENDED_BY(__NR_setsockopt),
        ENDED_BY(__NR_getsockname),
        ENDED_BY(__NR_getpeername),
        ENDED_BY(__NR_socket),
        ENDED_BY(__NR_connect),
        ENDED_BY(__NR_prctl),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(void) {
    int pair[2], half[2], ends[2], set = epoll_create1(0);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, half) || pipe(ends) || confined())
        return 1;
    close(half[1]);
    int all[] = {pair[0], half[0], ends[0], ends[1]};
    for (int i = 0; i < 4; i++) {
        struct epoll_event event = {.events = EPOLLIN};
        printf("add %d\n", epoll_ctl(set, EPOLL_CTL_ADD, all[i], &event));
    }
    char got[6] = "";
    struct iovec part = {"hello", 5}, room = {got, 5};
    struct msghdr out = {.msg_iov = &part, .msg_iovlen = 1}, in = {.msg_iov = &room, .msg_iovlen = 1};
    struct epoll_event event;
    ssize_t sent = sendmsg(pair[1], &out, MSG_NOSIGNAL);
    int ready = epoll_wait(set, &event, 1, 1000);
    ssize_t received = recvmsg(pair[0], &in, 0);
    printf("sendmsg %zd, wait %d, recvmsg %zd %s\n", sent, ready, received, got);
    sent = send(pair[1], "x", 1, 0);
    received = recv(pair[0], got, 5, 0);
    printf("send %zd, recv %zd\n", sent, received);
    sent = write(pair[1], "xy", 2);
    received = read(pair[0], got, 5);
    printf("write %zd, read %zd\n", sent, received);
    received = recv(pair[0], got, 5, MSG_DONTWAIT);
    printf("recv %zd %s\n", received, strerror(errno));
    printf("dup %d, ", dup(pair[0]) > 0);
    printf("shutdown %d, ", shutdown(pair[0], SHUT_WR));
    printf("close %d\n", close(pair[0]));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(7);
    int status = 0;
    waitpid(child, &status, 0);
    printf("child %d\n", WEXITSTATUS(status));
    return 0;
}
