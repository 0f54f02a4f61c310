/* The descriptor table in bad shape. MORE: `closed`: all descriptors from 3 on are closed at the
 * start; `full N`: RLIMIT_NOFILE is 32 and N descriptors are free when connect() is called. */
#include "transcript.h"

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    MUST(argc >= 6);
    MUST(syscall(SYS_close_range, 3, ~0U, 0) == 0);
    int free_ones = -1;
    if (!strcmp(argv[5], "full")) {
        struct rlimit limit = {32, 32};
        MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        free_ones = atoi(argv[6]);
    }
    int fd = open_socket(&target);
    say("descriptor %d", fd);
    if (free_ones >= 0)
        while (dup(0) < 31 - free_ones) continue;
    connect_and_wait(fd, &target);
    show_peer(fd);
    echo(fd, "table");
    /* Nothing of ours may have stayed in the program. */
    int used = 0;
    for (int i = 0; i < 1024; i++) used += fcntl(i, F_GETFD) >= 0;
    say("descriptors in use %d", used);
}
