/* A shell with job control and one job, on a terminal of its own: COMMAND... is stopped and
 * interrupted by keys. The command must become `reader`.
 *   terminal job COMMAND...   writes what the shell sees
 *   terminal reader           writes what the job sees, then copies lines until the end */
#include "transcript.h"
#include <termios.h>

static int master;

/* Reads what the terminal shows up to this text, and writes it. */
static void expect(const char *text) {
    static char seen[4096];
    size_t length = 0;
    memset(seen, 0, sizeof seen);
    while (!strstr(seen, text)) {
        struct pollfd wait = {.fd = master, .events = POLLIN};
        if (poll(&wait, 1, WAIT_MS) != 1) {
            say("no %s in %s", text, seen);
            exit(97);
        }
        ssize_t count = read(master, seen + length, sizeof seen - 1 - length);
        MUST(count > 0);
        length += count;
    }
    strstr(seen, text)[strlen(text)] = 0;
    say("%s", seen + strspn(seen, "\r\n"));
}

static void say_status(pid_t job, int options) {
    int how;
    MUST(waitpid(job, &how, options) == job);
    if (WIFSTOPPED(how)) say("stopped by %d", WSTOPSIG(how));
    if (WIFCONTINUED(how)) say("continued");
    if (WIFSIGNALED(how)) say("signal %d", WTERMSIG(how));
    if (WIFEXITED(how)) say("exit %d", WEXITSTATUS(how));
}

static int reader(void) {
    char line[256];
    struct termios settings;
    say("terminal %d %d %d, settings %d", isatty(0), isatty(1), isatty(2), tcgetattr(0, &settings));
    say("foreground %s, own group %s, in the session of its parent %s", tcgetpgrp(0) == getpgrp() ? "yes" : "no",
        getpgrp() == getpid() ? "yes" : "no", getsid(0) == getppid() ? "yes" : "no");
    say("ready");
    while (fgets(line, sizeof line, stdin)) {
        printf("read %s", line);
        fflush(stdout);
    }
    return 7;
}

int main(int argc, char **argv) {
    MUST(argc >= 2);
    if (!strcmp(argv[1], "reader")) return reader();
    alarm(80);
    MUST(setsid() > 0);
    master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    MUST(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int terminal = open(ptsname(master), O_RDWR | O_CLOEXEC);
    MUST(terminal >= 0);
    signal(SIGTTOU, SIG_IGN);
    pid_t job = fork();
    if (job == 0) {
        setpgid(0, 0);
        tcsetpgrp(terminal, getpid());
        signal(SIGTTOU, SIG_DFL);
        for (int fd = 0; fd < 3; fd++) MUST(dup2(terminal, fd) == fd);
        execvp(argv[2], argv + 2);
        _exit(98);
    }
    expect("ready");
    say("the job has the terminal: %s", tcgetpgrp(terminal) == job ? "yes" : "no");
    MUST(write(master, "\032", 1) == 1);
    say_status(job, WUNTRACED);
    MUST(kill(-job, SIGCONT) == 0);
    say_status(job, WCONTINUED);
    MUST(write(master, "word\n", 5) == 5);
    expect("read word");
    MUST(write(master, "\003", 1) == 1);
    say_status(job, 0);
    return 0;
}
