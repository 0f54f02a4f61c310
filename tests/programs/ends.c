/* How streams end. MORE: `half` (half-close, the answer comes after it), `read` (SHUT_RD),
 * `both` (SHUT_RDWR), `banner` (the far end closes), `reset` and `reset-error` (it resets, seen by
 * recv or by poll and SO_ERROR), `big` (it sends 8 MiB), `slow` (it reads slowly) */
#include "transcript.h"

static char buffer[1 << 16];

/* Reads to the end: how much, whether every byte was as far-server sends it, the last result. */
static size_t read_all(int fd, bool *as_sent, long *last) {
    size_t total = 0;
    ssize_t n;
    *as_sent = true;
    while ((n = receive(fd, buffer, sizeof buffer)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            if ((unsigned char)buffer[i] != (total + i) % 251) *as_sent = false;
        total += n;
    }
    *last = n;
    return total;
}

static void write_all(int fd, size_t total) {
    while (total > 0) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
        MUST(poll(&poll_fd, 1, WAIT_MS) == 1);
        ssize_t n = send(fd, buffer, total < sizeof buffer ? total : sizeof buffer, 0);
        MUST(n > 0);
        total -= n;
    }
}

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    MUST(argc == 6);
    const char *way = argv[5];
    int fd = open_socket(&target);
    bool as_sent;
    long last;
    connect_and_wait(fd, &target);
    if (!strcmp(way, "half")) {
        write_all(fd, 300000);
        say("shutdown %s", result(shutdown(fd, SHUT_WR)));
        say("send %s", result(send(fd, "x", 1, 0)));
        size_t total = read_all(fd, &as_sent, &last);
        say("read %zu, then %s", total, result(last));
    } else if (!strcmp(way, "read")) {
        echo(fd, "one");
        say("shutdown %s", result(shutdown(fd, SHUT_RD)));
        say("recv %s", result(recv(fd, buffer, 1, 0)));
        say("send %s", result(send(fd, "two", 3, 0)));
    } else if (!strcmp(way, "both")) {
        echo(fd, "one");
        say("shutdown %s", result(shutdown(fd, SHUT_RDWR)));
        say("recv %s", result(recv(fd, buffer, 1, 0)));
        say("send %s", result(send(fd, "two", 3, 0)));
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
        poll(&poll_fd, 1, 0);
        say("poll %s", events(poll_fd.revents & ~POLLHUP));
    } else if (!strcmp(way, "banner")) {
        size_t total = read_all(fd, &as_sent, &last);
        say("read %zu, then %s", total, result(last));
        say("SO_ERROR %s", socket_error(fd));
        show_peer(fd);
    } else if (!strcmp(way, "reset")) {
        say("send %s", result(send(fd, "x", 1, 0)));
        say("recv %s", result(receive(fd, buffer, 1)));
        say("recv %s", result(recv(fd, buffer, 1, 0)));
        say("send %s", result(send(fd, "x", 1, 0)));
        show_peer(fd);
    } else if (!strcmp(way, "reset-error")) {
        say("send %s", result(send(fd, "x", 1, 0)));
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN | POLLRDHUP};
        say("poll %s", result(poll(&poll_fd, 1, WAIT_MS)));
        say("events %s", events(poll_fd.revents));
        say("SO_ERROR %s", socket_error(fd));
        say("recv %s", result(recv(fd, buffer, 1, 0)));
    } else if (!strcmp(way, "big")) {
        size_t total = read_all(fd, &as_sent, &last);
        say("read %zu, then %s; %s", total, result(last), as_sent ? "as sent" : "DAMAGED");
    } else if (!strcmp(way, "slow")) {
        write_all(fd, 2000000);
        say("shutdown %s", result(shutdown(fd, SHUT_WR)));
        /* Seven digits and a newline, in one piece or in several. */
        char answer[9] = "";
        for (size_t got = 0; got < 8 && (last = receive(fd, answer + got, 8 - got)) > 0; got += last) continue;
        say("the far end read %s", strtok(answer, "\n"));
        say("then %s", result(receive(fd, answer, 1)));
    }
    say("close %s", result(close(fd)));
}
