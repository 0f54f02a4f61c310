/* What a program can see of itself, to be compared natively and under underpass. Arguments: HOW
 * [MORE...]
 *   show                 what it has: arguments, environment, threads, descriptors, signals, limits
 *   show-in FILE         the same, into a file
 *   after HOST PORT      the same, after a look-up and a connection
 *   odd COMMAND...       becomes COMMAND with signals ignored, blocked and pending, an alarm, a
 *                        umask, limits, and descriptors left open
 *   without FDS COMMAND  becomes COMMAND with these of the descriptors 0 to 2 closed
 *   status COMMAND...    writes how COMMAND ended, as its parent sees it */
#include "transcript.h"
#include <dirent.h>

static void show_status(void) {
    static const char *const lines[] = {"Umask", "Uid", "Gid", "Groups", "Threads", "SigPnd", "ShdPnd", "SigBlk",
        "SigIgn", "SigCgt", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "TracerPid"};
    char line[1024];
    FILE *status = fopen("/proc/self/status", "re");
    MUST(status);
    while (fgets(line, sizeof line, status))
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
            if (!strncmp(line, lines[i], strlen(lines[i])) && line[strlen(lines[i])] == ':') printf("%s", line);
    fclose(status);
}

static void show_descriptors(void) {
    for (int fd = 0; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);
        struct stat found;
        if (flags < 0) continue;
        MUST(fstat(fd, &found) == 0);
        say("descriptor %d kind %o flags %d %x", fd, found.st_mode & S_IFMT, flags, fcntl(fd, F_GETFL));
    }
}

static void show_tasks(void) {
    struct dirent **tasks;
    int count = scandir("/proc/self/task", &tasks, NULL, NULL);
    say("tasks %d", count - 2);
    say("children %s", result(waitpid(-1, NULL, WNOHANG)));
}

static void show_limits(void) {
    for (int i = 0; i < RLIM_NLIMITS; i++) {
        struct rlimit limit;
        MUST(getrlimit(i, &limit) == 0);
        say("limit %d %lx %lx", i, (unsigned long)limit.rlim_cur, (unsigned long)limit.rlim_max);
    }
}

static int show(int argc, char **argv) {
    char directory[4096];
    for (int i = 0; i < argc; i++) say("argument %s", argv[i]);
    for (char **entry = environ; *entry; entry++) say("environment %s", *entry);
    show_status();
    show_tasks();
    show_descriptors();
    show_limits();
    MUST(getcwd(directory, sizeof directory));
    struct itimerval timer;
    MUST(getitimer(ITIMER_REAL, &timer) == 0);
    say("directory %s, nice %d, alarm %s", directory, nice(0), timer.it_value.tv_sec ? "set" : "no");
    return 0;
}

static int show_in(int argc, char **argv) {
    char *text;
    size_t size;
    /* Opened last, so that it takes no number away. */
    stdout = open_memstream(&text, &size);
    show(argc, argv);
    fflush(stdout);
    int file = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    MUST(file >= 0 && write(file, text, size) == (ssize_t)size);
    return 0;
}

static int after(char **argv) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list = NULL;
    MUST(getaddrinfo(argv[2], argv[3], &hints, &list) == 0);
    for (int nonblocking = 0; nonblocking < 2; nonblocking++) {
        int fd = socket(AF_INET, SOCK_STREAM | (nonblocking ? SOCK_NONBLOCK : 0), 0);
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        MUST(connect(fd, list->ai_addr, list->ai_addrlen) == 0 || errno == EINPROGRESS);
        MUST(poll(&wait, 1, WAIT_MS) == 1 && wait.revents == POLLOUT);
        echo(fd, "word");
        close(fd);
    }
    freeaddrinfo(list);
    show_status();
    show_tasks();
    show_descriptors();
    return 0;
}

static void odd(char **command) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN + 3);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    signal(SIGHUP, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    alarm(1000);
    umask(0137);
    struct rlimit files = {300, 400}, core = {0, 0};
    MUST(setrlimit(RLIMIT_NOFILE, &files) == 0 && setrlimit(RLIMIT_CORE, &core) == 0);
    MUST(dup2(open("/dev/null", O_RDWR), 9) == 9 && dup2(open("/", O_RDONLY | O_DIRECTORY), 250) == 250);
    MUST(nice(3) != -1);
    execvp(command[0], command);
    MUST(!"executed");
}

static int status(char **command) {
    int how;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        execvp(command[0], command);
        _exit(98);
    }
    MUST(waitpid(pid, &how, 0) == pid);
    if (WIFSIGNALED(how)) say("signal %d", WTERMSIG(how));
    if (WIFEXITED(how)) say("exit %d", WEXITSTATUS(how));
    return 0;
}

int main(int argc, char **argv) {
    MUST(argc >= 2);
    const char *how = argv[1];
    if (!strcmp(how, "show")) return show(argc, argv);
    MUST(argc >= 3);
    if (!strcmp(how, "show-in")) return show_in(argc, argv);
    if (!strcmp(how, "after")) return after(argv);
    if (!strcmp(how, "odd")) odd(argv + 2);
    if (!strcmp(how, "status")) return status(argv + 2);
    if (!strcmp(how, "without")) {
        for (const char *fd = argv[2]; *fd; fd++) close(*fd - '0');
        execvp(argv[3], argv + 3);
    }
    return 98;
}
