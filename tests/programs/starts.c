/* Starts `busybox nc HOST PORT` in the way that is named, and ends as it does: FORM HOST PORT */
#define _GNU_SOURCE
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_ "/usr/bin/busybox"
#define NAME "busybox"

extern char **environ;

static int waited(int error, pid_t pid) {
    int status;
    if (error || waitpid(pid, &status, 0) != pid) return 99;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

int main(int argc, char **argv) {
    if (argc != 4) return 97;
    const char *form = argv[1], *host = argv[2], *port = argv[3];
    char *words[] = {NAME, "nc", argv[2], argv[3], NULL};
    char *none[] = {NULL};
    char line[128];
    pid_t pid;
    snprintf(line, sizeof line, "busybox nc %s %s", host, port);
    if (!strcmp(form, "execv")) execv(FILE_, words);
    if (!strcmp(form, "execve")) execve(FILE_, words, none);
    if (!strcmp(form, "execvp")) execvp(NAME, words);
    if (!strcmp(form, "execvpe")) execvpe(NAME, words, none);
    if (!strcmp(form, "execl")) execl(FILE_, NAME, "nc", host, port, (char *)NULL);
    if (!strcmp(form, "execlp")) execlp(NAME, NAME, "nc", host, port, (char *)NULL);
    if (!strcmp(form, "execle")) execle(FILE_, NAME, "nc", host, port, (char *)NULL, none);
    if (!strcmp(form, "posix_spawn")) {
        int error = posix_spawn(&pid, FILE_, NULL, NULL, words, environ);
        return waited(error, pid);
    }
    if (!strcmp(form, "posix_spawnp")) {
        int error = posix_spawnp(&pid, NAME, NULL, NULL, words, none);
        return waited(error, pid);
    }
    if (!strcmp(form, "system")) return WEXITSTATUS(system(line));
    if (!strcmp(form, "popen")) {
        FILE *output = popen(line, "r");
        if (!output) return 94;
        for (int c; (c = fgetc(output)) != EOF;) putchar(c);
        return WEXITSTATUS(pclose(output));
    }
    if (!strcmp(form, "vfork")) {
        pid = vfork();
        if (pid == 0) {
            execve(FILE_, words, none);
            _exit(96);
        }
        return waited(0, pid);
    }
    return 95;
}
