/* Connects to a server that greets, and wants the greeting and nothing else before it.
 * MORE: `pause`, which waits for a line of input between the greeting and the echo. */
#include "transcript.h"

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    int fd = open_socket(&target);
    int error = start(fd, &target) == 0 ? 0 : errno;
    if (argc > 5) say("connect %s", errno_name(error));
    if (error == EINPROGRESS) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
        if (poll(&poll_fd, 1, WAIT_MS) == 0) {
            say("nothing within %d ms", WAIT_MS);
            return 1;
        }
        const char *outcome = socket_error(fd);
        say("%s", outcome);
        if (getpeername(fd, (struct sockaddr *)&(struct sockaddr_storage){0}, &(socklen_t){128})) {
            // It was connected, and has been reset since.
            if (strcmp(outcome, "0") == 0) say("peer %s", errno_name(errno));
            return 0;
        }
    } else {
        say("%s", errno_name(error));
        if (error) return 0;
    }
    char buffer[300] = "";
    say("greeting %s", result(receive(fd, buffer, sizeof buffer - 1)));
    say("%s", strtok(buffer, "\n"));
    if (argc > 5) {
        char line[8];
        MUST(fgets(line, sizeof line, stdin));
    }
    echo(fd, "word");
    say("end %s", result(argc > 5 ? 0 : shutdown(fd, SHUT_WR)));
    if (argc <= 5) say("recv %s", result(receive(fd, buffer, sizeof buffer)));
}
