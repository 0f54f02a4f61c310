/* Becomes a daemon whose memory nobody may look at, and asks after some time: r_daemon FILE EARLY.
 * With EARLY = 1 it has also asked before. */
#include "transcript.h"
#include <sys/prctl.h>

static int resolve(void) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    int rc = getaddrinfo("echo.test", "7007", &hints, &found);
    if (rc == 0) freeaddrinfo(found);
    return rc;
}

int main(int argc, char **argv) {
    MUST(argc == 3);
    if (fork()) return 0;
    setsid();
    if (argv[2][0] == '1') MUST(resolve() == 0);
    MUST(prctl(PR_SET_DUMPABLE, 0) == 0);
    MUST(freopen("/dev/null", "r+", stdin) && freopen("/dev/null", "w", stdout) && freopen("/dev/null", "w", stderr));
    sleep(8);
    FILE *file = fopen(argv[1], "w");
    MUST(file);
    int rc = resolve();
    fprintf(file, "%s\n", rc ? gai_strerror(rc) : "found");
    return fclose(file);
}
