/* Starts `busybox nc HOST PORT` in the way that is named, and ends as it does: FORM[@PLACE] HOST PORT. The place is what is
 * found first, or how long it is, where a name is searched in PATH. Files are made in the current folder. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

/* A file without a name. */
static int in_memory(void) {
    int source = open(FILE_, O_RDONLY | O_CLOEXEC), image = memfd_create("image", MFD_CLOEXEC);
    while (sendfile(image, source, NULL, 1 << 20) > 0) {}
    close(source);
    return image;
}

/* No descriptor is left, until an exec closes those that were taken. */
static void fill(void) {
    struct rlimit few = {32, 32};
    setrlimit(RLIMIT_NOFILE, &few);
    while (fcntl(0, F_DUPFD_CLOEXEC, 0) >= 0) {}
}

/* What PATH has before it comes to the program; what is found there is not executed. */
static void placed(const char *place) {
    static char path[2000] = "before:/usr/bin";
    mkdir("before", 0755);
    if (!strcmp(place, "folder")) mkdir("before/" NAME, 0755);
    if (!strcmp(place, "here")) mkdir(NAME, 0755), strcpy(path, ":/usr/bin");
    if (!strcmp(place, "script")) {
        int script = open("before/" NAME, O_WRONLY | O_CREAT | O_TRUNC, 0755);
        if (write(script, "#!/no/such/interpreter\n", 23) != 23) exit(92);
        close(script);
    }
    if (!strcmp(place, "long")) {
        path[0] = 0;
        for (int i = 0; i < 7; i++) {
            sprintf(path + strlen(path), "%s%0200d", i ? "/" : "", i);
            mkdir(path, 0755);
        }
        char link[2200];
        snprintf(link, sizeof link, "%s/" NAME, path);
        if (symlink(FILE_, link) && errno != EEXIST) exit(91);
    }
    setenv("PATH", path, 1);
}

/* By a descriptor, which is closed then unless the form says that it is not. */
static void by_descriptor(const char *form, char **words, char **none) {
    char path[64];
    int file = open(FILE_, O_RDONLY | O_CLOEXEC), folder = open("/usr/bin", O_PATH | O_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (!strcmp(form, "fexecve")) fexecve(file, words, none);
    if (!strcmp(form, "fexecve-open")) fexecve(open(FILE_, O_RDONLY), words, environ);
    if (!strcmp(form, "fexecve-path")) fexecve(open(FILE_, O_PATH | O_CLOEXEC), words, environ);
    if (!strcmp(form, "fexecve-memory")) fexecve(in_memory(), words, environ);
    if (!strcmp(form, "execveat")) execveat(file, "", words, none, AT_EMPTY_PATH);
    if (!strcmp(form, "execveat-folder")) execveat(folder, NAME, words, none, 0);
    if (!strcmp(form, "execveat-open")) execveat(open("/usr", O_PATH), "bin/" NAME, words, environ, 0);
    if (!strcmp(form, "execveat-here") && !chdir("/usr/bin")) execveat(AT_FDCWD, NAME, words, environ, 0);
    if (!strcmp(form, "execveat-whole")) execveat(-1, FILE_, words, environ, 0);
    if (!strcmp(form, "execveat-number")) syscall(SYS_execveat, folder, NAME, words, none, AT_SYMLINK_NOFOLLOW);
    if (!strcmp(form, "execve-path")) execve(path, words, none);
}

int main(int argc, char **argv) {
    if (argc != 4) return 97;
    const char *form = argv[1], *host = argv[2], *port = argv[3];
    char *place = strchr(argv[1], '@');
    if (place) *place++ = 0, placed(place);
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
    by_descriptor(form, words, none);
    if (!strcmp(form, "full")) fill(), execve(FILE_, words, environ);
    if (!strcmp(form, "posix_spawn-path")) {
        int file = open(FILE_, O_RDONLY | O_CLOEXEC);
        snprintf(line, sizeof line, "/dev/fd/%d", file);
        int error = posix_spawn(&pid, line, NULL, NULL, words, environ), status = waited(error, pid);
        return fcntl(file, F_GETFD) == FD_CLOEXEC ? status : 93;
    }
    /* In another folder, where a relative path is another file: one that loads libraries here. */
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (!strcmp(form, "posix_spawn-elsewhere")) {
        posix_spawn_file_actions_addchdir_np(&actions, "/usr/bin");
        int error = posix_spawn(&pid, "./" NAME, &actions, NULL, words, environ);
        return waited(error, pid);
    }
    if (!strcmp(form, "posix_spawnp-elsewhere")) {
        posix_spawn_file_actions_addfchdir_np(&actions, open("/usr", O_PATH | O_CLOEXEC));
        int error = posix_spawnp(&pid, "bin/" NAME, &actions, NULL, words, none);
        return waited(error, pid);
    }
    if (!strcmp(form, "hooked-elsewhere")) {
        char *rights[] = {"grep", "NoNewPrivs", "/proc/self/status", NULL};
        posix_spawn_file_actions_addchdir_np(&actions, "/usr/bin");
        int error = posix_spawn(&pid, "./grep", &actions, NULL, rights, environ);
        return waited(error, pid);
    }
    if (!strcmp(form, "vfork-fexecve")) {
        int file = in_memory();
        pid = vfork();
        if (pid == 0) {
            fexecve(file, words, none);
            _exit(96);
        }
        int status = waited(0, pid);
        return fcntl(file, F_GETFD) == FD_CLOEXEC ? status : 93;
    }
    if (!strcmp(form, "system")) return WEXITSTATUS(system(line));
    if (!strcmp(form, "popen")) {
        FILE *output = popen(line, "r");
        if (!output) return 94;
        for (int c; (c = fgetc(output)) != EOF;) putchar(c);
        return WEXITSTATUS(pclose(output));
    }
    if (!strncmp(form, "vfork", 5)) {
        pid = vfork();
        if (pid == 0) {
            if (!strcmp(form, "vfork-execvp")) execvp(NAME, words);
            execve(FILE_, words, none);
            _exit(96);
        }
        return waited(0, pid);
    }
    return 95;
}
