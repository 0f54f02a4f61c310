/* Starts another program: WAY PROGRAM ARGUMENTS. "clean" ways give it no environment. */
#include "leak.h"
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>

extern char **environ;

static int ended(pid_t child) {
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0) return fails("start");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* execve without libc. */
static long bare_execve(const char *path, char **words, char **variables) {
#if defined __x86_64__
    long answer = SYS_execve;
    __asm__ volatile("syscall" : "+a"(answer) : "D"(path), "S"(words), "d"(variables) : "rcx", "r11", "memory");
    return answer;
#else
    register long number __asm__("x8") = SYS_execve;
    register long first __asm__("x0") = (long)path;
    register long second __asm__("x1") = (long)words;
    register long third __asm__("x2") = (long)variables;
    __asm__ volatile("svc 0" : "+r"(first) : "r"(number), "r"(second), "r"(third) : "memory");
    return first;
#endif
}

static int by_memory(char **words) {
    int file = memfd_create("image", 0), source = open(words[0], O_RDONLY);
    char block[65536];
    ssize_t size;
    while ((size = read(source, block, sizeof block)) > 0)
        if (write(file, block, size) != size) return fails("write");
    fexecve(file, words, environ);
    return fails("fexecve");
}

/* Below the folder that it lies in. */
static int below(char **words) {
    char *name = strrchr(words[0], '/');
    *name++ = 0;
    int folder = open(words[0], O_PATH | O_CLOEXEC);
    name[-1] = '/';
    syscall(SYS_execveat, folder, name, words, environ, 0);
    return fails("execveat");
}

/* With no descriptor left until the exec closes those that were taken. */
static int full(char **words) {
    struct rlimit few = {32, 32};
    setrlimit(RLIMIT_NOFILE, &few);
    while (fcntl(0, F_DUPFD_CLOEXEC, 0) >= 0) {}
    execv(words[0], words);
    return fails("execv");
}

/* A grandchild in a session of its own, which goes on when its parents have ended. */
static int in_the_background(char **words) {
    int ends[2];
    char byte;
    if (pipe(ends)) return fails("pipe");
    if (fork()) return 0;
    setsid();
    if (fork()) _exit(0);
    /* Until both have ended. */
    close(ends[1]);
    if (read(ends[0], &byte, 1)) _exit(1);
    execv(words[0], words);
    _exit(1);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    const char *way = argv[1];
    char **words = argv + 2, *none[] = {NULL};
    pid_t child = -1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(way, "execve")) execve(words[0], words, environ);
    if (!strcmp(way, "execv")) execv(words[0], words);
    if (!strcmp(way, "execvp")) execvp(words[0], words);
    if (!strcmp(way, "clean-execve")) execve(words[0], words, none);
    if (!strcmp(way, "clean-syscall")) syscall(SYS_execve, words[0], words, none);
    if (!strcmp(way, "clean-bare")) bare_execve(words[0], words, none);
    if (!strcmp(way, "memory")) return by_memory(words);
    if (!strcmp(way, "below")) return below(words);
    if (!strcmp(way, "full")) return full(words);
    if (!strcmp(way, "background")) return in_the_background(words);
    if (!strcmp(way, "spawn")) return posix_spawn(&child, words[0], NULL, NULL, words, environ) ? fails("spawn") : ended(child);
    if (!strcmp(way, "clean-spawn")) return posix_spawn(&child, words[0], NULL, NULL, words, none) ? fails("spawn") : ended(child);
    if (!strcmp(way, "clean-vfork")) {
        if (!(child = vfork())) {
            execve(words[0], words, none);
            _exit(1);
        }
        return ended(child);
    }
    return fails(way);
}
