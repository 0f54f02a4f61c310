/* A second descriptor, made before connect() (dup) or used while another process has it, and
 * close() while connecting. MORE: `dup`, `close`, `fork`, `vfork-exec`, `exec`, `spawn`;
 * as `child FD` the second half of the exec cases. */
#include "transcript.h"
#include <spawn.h>

static void finish(int fd) {
    wait_writable(fd);
    say("SO_ERROR %s", socket_error(fd));
    show_peer(fd);
    echo(fd, "copy");
}

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "child")) {
        finish(atoi(argv[2]));
        return 0;
    }
    struct target target = parse(argc, argv);
    MUST(argc == 6);
    const char *way = argv[5];
    int fd = open_socket(&target);
    char number[12];
    snprintf(number, sizeof number, "%d", fd);
    char *child[] = {argv[0], "child", number, NULL};
    if (!strcmp(way, "dup")) {
        int copy = fcntl(fd, F_DUPFD, 100);
        MUST(copy >= 100);
        say("connect %s", result(start(fd, &target)));
        say("close %s", result(close(fd)));
        finish(copy);
        return 0;
    }
    say("connect %s", result(start(fd, &target)));
    if (!strcmp(way, "close")) {
        say("close %s", result(close(fd)));
        int next = open_socket(&target);
        say("the number is free again: %s", next == fd ? "yes" : "no");
        say("connect %s", result(start(next, &target)));
        finish(next);
    } else if (!strcmp(way, "exec")) {
        execv("/proc/self/exe", child);
    } else {
        pid_t pid;
        int status;
        if (!strcmp(way, "spawn")) {
            MUST(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, child, environ) == 0);
        } else if (!strcmp(way, "vfork-exec")) {
            pid = vfork();
            if (pid == 0) {
                execv("/proc/self/exe", child);
                _exit(98);
            }
        } else {
            pid = fork();
            if (pid == 0) {
                finish(fd);
                exit(0);
            }
        }
        /* The child has it alone: the outcome must not depend on who asked. */
        close(fd);
        MUST(waitpid(pid, &status, 0) == pid);
        say("child %d", status);
    }
}
