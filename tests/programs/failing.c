/* Runs a program of which one chosen system call fails: failing NAME,NAME... PROGRAM [ARGS...]
 *
 * Standard input says which: "N ERRNO" has the N-th call from then on fail, of those that are named; with N = 0 they
 * are only counted. The answer is the number of calls since the line before. Once the program has ended, "ended STATUS"
 * is written (128 and the signal, if that was it). Standard error has what has failed, among what the program says.
 *
 * The kernel asks before each of these calls (seccomp_unotify(2)); who is told to go on makes the call himself. */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALL(name) { #name, SYS_##name }
static const struct { const char *name; unsigned number; } calls[] = {
    CALL(socket), CALL(socketpair), CALL(connect), CALL(bind), CALL(listen), CALL(accept4), CALL(getsockopt),
    CALL(setsockopt), CALL(getsockname), CALL(getpeername), CALL(shutdown), CALL(read), CALL(write), CALL(writev),
    CALL(recvfrom), CALL(recvmsg), CALL(sendto), CALL(sendmsg), CALL(epoll_ctl), CALL(pipe2), CALL(splice),
    CALL(fcntl), CALL(ioctl), CALL(openat), CALL(pidfd_open), CALL(mmap), CALL(mremap),
};

/* The descriptor at which the parent finds the listener. */
enum { LISTENER = 100 };

static int filter(const char *names)
{
    struct sock_filter code[2 + 2 * sizeof calls / sizeof *calls];
    unsigned short length = 0;
    code[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    char *list = strdup(names), *rest = list;
    for (char *name; (name = strsep(&rest, ","));) {
        size_t at = 0;
        while (at < sizeof calls / sizeof *calls && strcmp(calls[at].name, name))
            at++;
        if (at == sizeof calls / sizeof *calls || length + 3u > sizeof code / sizeof *code)
            errx(125, "%s: not among the calls that can fail", name);
        code[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[at].number, 0, 1);
        code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    }
    free(list);
    code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = { length, code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        err(125, "no_new_privs");
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

static void ended(pid_t child)
{
    int status;
    if (waitpid(child, &status, 0) != child)
        err(125, "waitpid");
    printf("ended %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    exit(0);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        errx(125, "usage: failing NAME,NAME... PROGRAM [ARGS...]");
    setvbuf(stdout, NULL, _IOLBF, 0);
    pid_t child = fork();
    if (child < 0)
        err(125, "fork");
    if (!child) {
        /* It does not outlive whoever answers for its calls. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int null = open("/dev/null", O_RDONLY);
        dup2(null, 0);
        int listener = filter(argv[1]);
        if (listener < 0 || dup3(listener, LISTENER, O_CLOEXEC) < 0)
            _exit(125);
        /* The parent takes the listener, which the new program does not have. */
        raise(SIGSTOP);
        execv(argv[2], argv + 2);
        _exit(126);
    }
    int status;
    if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status))
        errx(125, "no filter could be installed");
    int process = syscall(SYS_pidfd_open, child, 0);
    int listener = syscall(SYS_pidfd_getfd, process, LISTENER, 0);
    if (listener < 0)
        err(125, "the listener");
    kill(child, SIGCONT);
    unsigned long count = 0, which = 0;
    int error = 0;
    for (;;) {
        struct pollfd ready[] = { { 0, POLLIN, 0 }, { listener, POLLIN, 0 } };
        if (poll(ready, 2, -1) < 0)
            err(125, "poll");
        if (ready[1].revents & POLLIN) {
            struct seccomp_notif call;
            memset(&call, 0, sizeof call);
            if (!ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call)) {
                struct seccomp_notif_resp answer = { .id = call.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
                /* A write(2) of eight bytes wakes a thread by an eventfd(2), which does not fail. */
                int wakes = call.data.nr == SYS_write && call.data.args[2] == 8;
                if (!wakes && ++count == which) {
                    answer = (struct seccomp_notif_resp){ .id = call.id, .error = -error };
                    size_t at = 0;
                    while (at + 1 < sizeof calls / sizeof *calls && calls[at].number != (unsigned)call.data.nr)
                        at++;
                    fprintf(stderr, "failing: %s(%lld, %#llx, %#llx), thread %d of %d\n", calls[at].name,
                            call.data.args[0], call.data.args[1], call.data.args[2], call.pid, child);
                }
                /* Whoever was killed meanwhile wants no answer. */
                ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
            }
        } else if (ready[1].revents) {
            ended(child);
        }
        if (ready[0].revents) {
            char line[100];
            ssize_t length = read(0, line, sizeof line - 1);
            if (length <= 0) {
                kill(child, SIGKILL);
                ended(child);
            }
            line[length] = 0;
            printf("%lu\n", count);
            if (sscanf(line, "%lu %d", &which, &error) != 2)
                errx(125, "N ERRNO is wanted");
            count = 0;
        }
    }
}
