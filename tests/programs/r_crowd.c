/* Connects MORE sockets at once without waiting, and counts what comes of them. */
#include "transcript.h"

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    int count = atoi(argv[5]), connected = 0, unreachable = 0, other = 0, pending = 0;
    struct pollfd sockets[512];
    MUST(count <= 512);
    for (int i = 0; i < count; i++) {
        sockets[i] = (struct pollfd){.fd = open_socket(&target), .events = POLLOUT};
        if (start(sockets[i].fd, &target) && errno != EINPROGRESS) {
            errno == ENETUNREACH ? unreachable++ : other++;
            if (errno != ENETUNREACH) say("connect %s", errno_name(errno));
            sockets[i].fd = -1;
        }
    }
    double end = now() + 60;
    do {
        poll(sockets, count, 200);
        pending = 0;
        for (int i = 0; i < count; i++) {
            if (sockets[i].fd < 0) continue;
            if (!sockets[i].revents) {
                pending++;
                continue;
            }
            const char *error = socket_error(sockets[i].fd);
            if (!strcmp(error, "0"))
                connected++;
            else if (!strcmp(error, "ENETUNREACH"))
                unreachable++;
            else
                say("SO_ERROR %s", error), other++;
            /* Kept open, so that its descriptors stay in use. */
            sockets[i].fd = -sockets[i].fd;
        }
    } while (pending && now() < end);
    say("connected %d unreachable %d other %d pending %d", connected, unreachable, other, pending);
    return 0;
}
