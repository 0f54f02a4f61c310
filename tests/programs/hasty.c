/* recv() or send() without a question about the outcome before it. */
#include "transcript.h"

static int failed(const struct target *target) {
    int fd = open_socket(target);
    say("connect %s", result(start(fd, target)));
    wait_writable(fd);
    return fd;
}

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    char byte;
    int fd = failed(&target);
    say("recv %s", result(recv(fd, &byte, 1, 0)));
    fd = failed(&target);
    say("send %s", result(send(fd, "x", 1, 0)));
}
