/* A library whose constructor connects before main(), to 10.99.0.1 port 7006. */
#include "transcript.h"

__attribute__((constructor)) static void early(void) {
    char *arguments[] = {"early", "v4", "blocking", "1", "7006"};
    struct target target = parse(5, arguments);
    int fd = open_socket(&target);
    say("constructor: connect %s", result(start(fd, &target)));
    char hello[7] = "";
    say("constructor: recv %s", result(recv(fd, hello, 6, 0)));
    printf("%s", hello);
    fflush(stdout);
    close(fd);
}
