// pidfd_spawn PROGRAM [ARGS…]: runs it by pidfd_spawn and then by pidfd_spawnp, without an environment; its statuses follow.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

typedef int spawn(int *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const[],
                  char *const[]);

int main(int count, char **words) {
    const char *names[] = {"pidfd_spawn", "pidfd_spawnp"};
    char *none[] = {NULL};
    for (int i = 0; count > 1 && i < 2; i++) {
        // The libc that this is compiled with has neither.
        spawn *start = (spawn *)dlsym(RTLD_DEFAULT, names[i]);
        int pidfd = -1;
        int error = start ? start(&pidfd, words[1], NULL, NULL, words + 1, none) : -1;
        siginfo_t end = {0};
        if (error || waitid(P_PIDFD, (id_t)pidfd, &end, WEXITED)) {
            printf("%s: %d\n", names[i], error);
            return EXIT_FAILURE;
        }
        printf("%s: status %d\n", names[i], end.si_status);
        fflush(stdout);
    }
    return EXIT_SUCCESS;
}
