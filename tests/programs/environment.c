/* A program is carried also where its environment is large or was lost. MORE is the way to start
 * it anew; `leaf` is what they all become. */
#include "transcript.h"
#include <spawn.h>

static char *nothing[] = {NULL};

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    MUST(argc == 6);
    const char *way = argv[5];
    if (!strcmp(way, "leaf")) {
        int fd = open_socket(&target);
        connect_and_wait(fd, &target);
        echo(fd, "leaf");
        return 0;
    }
    char *leaf[] = {argv[0], argv[1], argv[2], argv[3], argv[4], "leaf", NULL};
    pid_t pid = 0;
    if (!strcmp(way, "large")) {
        static char value[100000];
        char name[16];
        memset(value, 'v', sizeof value - 1);
        for (int i = 0; i < 10; i++) {
            snprintf(name, sizeof name, "LARGE_%d", i);
            setenv(name, value, 1);
        }
        execv("/proc/self/exe", leaf);
    } else if (!strcmp(way, "execve")) {
        execve("/proc/self/exe", leaf, nothing);
    } else if (!strcmp(way, "execve-null")) {
        execve("/proc/self/exe", leaf, NULL);
    } else if (!strcmp(way, "execle")) {
        execle("/proc/self/exe", argv[0], argv[1], argv[2], argv[3], argv[4], "leaf", NULL, nothing);
    } else if (!strcmp(way, "execvpe")) {
        execvpe("/proc/self/exe", leaf, nothing);
    } else if (!strcmp(way, "fexecve")) {
        fexecve(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), leaf, nothing);
    } else if (!strcmp(way, "unset")) {
        unsetenv("LD_PRELOAD");
        execv("/proc/self/exe", leaf);
    } else if (!strcmp(way, "clearenv")) {
        clearenv();
        execv("/proc/self/exe", leaf);
    } else if (!strcmp(way, "spawn")) {
        MUST(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, leaf, nothing) == 0);
    } else if (!strcmp(way, "spawnp")) {
        MUST(posix_spawnp(&pid, "/proc/self/exe", NULL, NULL, leaf, nothing) == 0);
    } else if (!strcmp(way, "vfork")) {
        pid = vfork();
        if (pid == 0) {
            execve("/proc/self/exe", leaf, nothing);
            _exit(98);
        }
    } else if (!strcmp(way, "execl-unset")) {
        clearenv();
        execl("/proc/self/exe", argv[0], argv[1], argv[2], argv[3], argv[4], "leaf", NULL);
    } else if (!strcmp(way, "execlp-unset")) {
        clearenv();
        execlp("/proc/self/exe", argv[0], argv[1], argv[2], argv[3], argv[4], "leaf", NULL);
    } else {
        /* A shell starts it: with an empty environment, or from a program that has none itself. */
        char line[512];
        bool lost_before = strstr(way, "unset");
        snprintf(line, sizeof line, "%s %s %s %s %s %s leaf", lost_before ? "exec" : "env -i", argv[0], argv[1],
                 argv[2], argv[3], argv[4]);
        if (lost_before) clearenv();
        if (strstr(way, "system")) {
            say("system %d", system(line));
        } else {
            FILE *pipe = popen(line, "r");
            MUST(pipe);
            char text[256];
            while (fgets(text, sizeof text, pipe)) printf("%s", text);
            say("popen %d", pclose(pipe));
        }
        return 0;
    }
    MUST(pid > 0);
    int status;
    MUST(waitpid(pid, &status, 0) == pid);
    say("child %d", status);
}
