/* A crash handler on an alternate stack of 8 KiB starts a program, as crash reporters do. */
#include "transcript.h"
#include <sys/mman.h>

static void report(int signal) {
    char *arguments[] = {"/bin/true", NULL};
    pid_t child = fork();
    (void)signal;
    if (child == 0) {
        execv(arguments[0], arguments);
        _exit(9);
    }
    int status;
    waitpid(child, &status, 0);
    static const char good[] = "fine\n", bad[] = "killed\n";
    ssize_t written = WIFEXITED(status) && !WEXITSTATUS(status) ? write(1, good, 5) : write(1, bad, 7);
    _exit(written < 0);
}

int main(void) {
    enum { GUARD = 1 << 16, SIZE = 8192 };
    char *memory = mmap(NULL, GUARD + SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(memory != MAP_FAILED && !mprotect(memory + GUARD, SIZE, PROT_READ | PROT_WRITE));
    stack_t stack = {.ss_sp = memory + GUARD, .ss_size = SIZE};
    struct sigaction action = {.sa_handler = report, .sa_flags = SA_ONSTACK};
    MUST(sigaltstack(&stack, NULL) == 0 && sigaction(SIGSEGV, &action, NULL) == 0);
    raise(SIGSEGV);
    return 1;
}
