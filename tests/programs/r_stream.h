/* What r_near and r_far send each other, and how they check it: random transfers, and urgent bytes. */
#include "transcript.h"

struct way {
    uint32_t state;
    size_t left;
};

/* The bytes of one way, from the connection's number. Every fourth way is large, every fifth empty. */
static struct way way_of(uint32_t number, bool up) {
    uint32_t state = (number * 2 + up + 1) * 2654435761u | 1;
    size_t length = state % 5 == 0 ? 0 : state % 4 == 0 ? 2000000 + state % 1000000 : state % 60000;
    return (struct way){state, length};
}

static void next_bytes(struct way *way, unsigned char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        way->state = way->state * 1664525 + 1013904223;
        bytes[i] = way->state >> 24;
    }
    way->left -= count;
}

/* Sends one way and checks the other, with random pauses; NULL if all is as it should be. */
static const char *exchange(int fd, uint32_t number, bool near) {
    static _Thread_local unsigned char out[65536], in[65536], wanted[65536];
    struct way send_way = way_of(number, near), receive_way = way_of(number, !near);
    unsigned seed = number * 2 + near, at = 0, have = 0;
    bool sending = true, receiving = true, slow = rand_r(&seed) % 3 == 0;
    MUST(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    while (sending || receiving) {
        struct pollfd ready = {.fd = fd, .events = (sending ? POLLOUT : 0) | (receiving ? POLLIN : 0)};
        if (poll(&ready, 1, WAIT_MS) != 1) return sending ? "stuck while sending" : "stuck while receiving";
        if (sending && ready.revents & (POLLOUT | POLLERR)) {
            if (at == have) {
                at = 0, have = send_way.left < sizeof out ? send_way.left : 1 + rand_r(&seed) % sizeof out;
                next_bytes(&send_way, out, have);
            }
            ssize_t sent = have ? send(fd, out + at, have - at, MSG_NOSIGNAL) : 0;
            if (sent < 0 && errno != EAGAIN) return "cannot send";
            at += sent > 0 ? sent : 0;
            if (at == have && send_way.left == 0) {
                if (rand_r(&seed) % 4 == 0) usleep(rand_r(&seed) % 20000);
                if (shutdown(fd, SHUT_WR)) return "cannot end";
                sending = false;
            }
        }
        if (receiving && ready.revents & (POLLIN | POLLHUP | POLLERR)) {
            size_t most = slow ? 1u + rand_r(&seed) % 20000 : sizeof in;
            ssize_t count = recv(fd, in, most, 0);
            if (count < 0 && errno != EAGAIN) return "cannot receive";
            if (count > (ssize_t)receive_way.left) return "too much";
            if (count > 0) {
                next_bytes(&receive_way, wanted, count);
                if (memcmp(in, wanted, count)) return "other bytes";
            }
            if (count == 0) {
                if (receive_way.left) return "bytes are missing";
                receiving = false;
            }
            if (slow) usleep(rand_r(&seed) % 1500);
        }
    }
    return NULL;
}

/* One ordinary byte and an urgent one. */
static bool send_urgent(int fd, unsigned char byte) {
    return send(fd, "x", 1, MSG_NOSIGNAL) == 1 && send(fd, &byte, 1, MSG_NOSIGNAL | MSG_OOB) == 1;
}

/* Receives them; how, if not as they were sent. */
static const char *receive_urgent(int fd, unsigned char byte, bool in_line) {
    unsigned char got[2] = {0};
    /* A mark ends what one call reads, also in line. */
    if (in_line) return recv(fd, got, 1, 0) == 1 && recv(fd, got + 1, 1, 0) == 1 && got[0] == 'x' && got[1] == byte ? NULL : "other bytes";
    struct pollfd ready = {.fd = fd, .events = POLLPRI};
    if (poll(&ready, 1, 10000) != 1) return "nothing urgent";
    if (sockatmark(fd) != 0 || recv(fd, got, 1, 0) != 1 || got[0] != 'x') return "another byte before the mark";
    if (sockatmark(fd) != 1) return "the mark is elsewhere";
    return recv(fd, got, 1, MSG_OOB) == 1 && got[0] == byte ? NULL : "another urgent byte";
}

/* Urgent bytes each way in turn, then many others and an urgent one as the last; NULL if all is as it should be. */
__attribute__((unused)) static const char *exchange_urgent(int fd, bool near, bool in_line) {
    static char bytes[65536];
    int on = 1;
    const char *fault = NULL;
    MUST(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    if (in_line) MUST(setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on) == 0);
    for (int turn = 0; turn < 100 && !fault; turn++) {
        if (near && !send_urgent(fd, turn)) return "cannot send";
        fault = receive_urgent(fd, turn, in_line);
        if (!near && !fault && !send_urgent(fd, turn)) return "cannot send";
    }
    if (fault) return fault;
    size_t wanted = 1000000;
    for (size_t left = wanted; near && left;) {
        ssize_t sent = send(fd, bytes, left < sizeof bytes ? left : sizeof bytes, MSG_NOSIGNAL);
        if (sent <= 0) return "cannot send";
        left -= sent;
    }
    if (near) return send(fd, "!", 1, MSG_NOSIGNAL | MSG_OOB) == 1 && !shutdown(fd, SHUT_WR) ? NULL : "cannot end";
    ssize_t count;
    while ((count = recv(fd, bytes, sizeof bytes, 0)) > 0) wanted -= count;
    return wanted == (size_t)-in_line && count == 0 ? NULL : "other bytes at the end";
}
