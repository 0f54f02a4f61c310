/* Becomes PROGRAM ARGUMENTS… by the instruction itself, which no library sees. */
#include <sys/syscall.h>

extern char **environ;

int main(int argc, char **argv) {
    (void)argc;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"((long)SYS_execve), "D"(argv[1]), "S"(argv + 1), "d"(environ)
                     : "rcx", "r11", "memory");
    return (int)-result;
}
