/* Datagrams as a program sees them. PORT is an echo server's, and MORE names what is tried; a second echo
 * server is two ports above it. */
#include "transcript.h"
#include <netinet/udp.h>
#include <pthread.h>

static struct target target, second;

static int datagram_socket(void) {
    int fd = socket(target.family, SOCK_DGRAM | (target.nonblocking ? SOCK_NONBLOCK : 0), 0);
    MUST(fd >= 0);
    return fd;
}

static bool readable(int fd) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, WAIT_MS) == 1;
}

static ssize_t send_to(int fd, const char *word, const struct target *to) {
    return sendto(fd, word, strlen(word), 0, (const void *)&to->address, to->length);
}

/* Receives with the sender's address. */
static void show_from(int fd, int flags) {
    char data[64] = "";
    struct sockaddr_storage from = {0};
    socklen_t length = sizeof from;
    if (!readable(fd)) {
        say("nothing comes");
        return;
    }
    ssize_t n = recvfrom(fd, data, sizeof data - 1, flags, (void *)&from, &length);
    if (n < 0) {
        say("recvfrom %s", result(n));
        return;
    }
    say("recvfrom %zd %s from %s, %u bytes", n, data, address_text(&from), length);
}

static void show_message(int fd, size_t size, int flags) {
    char data[64] = "";
    struct sockaddr_storage from = {0};
    struct iovec part = {data, size};
    struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1};
    MUST(readable(fd));
    ssize_t n = recvmsg(fd, &message, flags);
    say("recvmsg %s %s from %s, %u bytes, flags %x", result(n), data, address_text(&from), message.msg_namelen,
        message.msg_flags);
}

static void unconnected(void) {
    int fd = datagram_socket();
    show_local(fd);
    say("sendto %s", result(send_to(fd, "one", &target)));
    show_from(fd, 0);
    struct iovec part = {"two", 3};
    struct msghdr message = {.msg_name = &target.address, .msg_namelen = target.length, .msg_iov = &part, .msg_iovlen = 1};
    say("sendmsg %s", result(sendmsg(fd, &message, 0)));
    show_message(fd, 64, 0);
    say("sendto %s", result(send_to(fd, "cut short", &second)));
    show_message(fd, 3, 0);
    say("sendto %s", result(send_to(fd, "peeked", &second)));
    show_from(fd, MSG_PEEK);
    show_message(fd, 2, MSG_PEEK | MSG_TRUNC);
    show_from(fd, 0);
    say("sendto %s", result(sendto(fd, "", 0, 0, (void *)&target.address, target.length)));
    show_from(fd, 0);
    char data[8];
    say("MSG_DONTWAIT %s", result(recv(fd, data, sizeof data, MSG_DONTWAIT)));
    show_peer(fd);
    say("SO_ERROR %s", socket_error(fd));
    set_port(&second, 0);
    say("port 0: %s", result(send_to(fd, "none", &second)));
}

static void several(void) {
    int fd = datagram_socket();
    char words[20][8], data[20][8] = {0};
    struct iovec parts[20], rooms[20];
    struct sockaddr_storage from[20] = {0};
    struct mmsghdr messages[20] = {0}, received[20] = {0};
    for (int i = 0; i < 20; i++) {
        snprintf(words[i], sizeof *words, "w%d", i);
        parts[i] = (struct iovec){words[i], strlen(words[i])};
        rooms[i] = (struct iovec){data[i], 7};
        struct target *to = i % 2 ? &second : &target;
        messages[i].msg_hdr = (struct msghdr){.msg_name = &to->address, .msg_namelen = to->length, .msg_iov = &parts[i], .msg_iovlen = 1};
        received[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof *from, .msg_iov = &rooms[i], .msg_iovlen = 1};
    }
    say("sendmmsg %s", result(sendmmsg(fd, messages, 20, 0)));
    say("lengths %u %u", messages[0].msg_len, messages[19].msg_len);
    int count = 0;
    while (count < 20 && readable(fd)) {
        int n = recvmmsg(fd, received + count, 20 - count, MSG_DONTWAIT, NULL);
        MUST(n > 0);
        count += n;
    }
    say("recvmmsg %d", count);
    for (int port = 0; port < 2; port++) {
        const struct target *of = port ? &second : &target;
        int there = 0;
        for (int i = 0; i < count; i++) {
            const struct sockaddr_storage *address = received[i].msg_hdr.msg_name;
            bool is_from = !memcmp(address, &of->address, of->length);
            int number = atoi(data[i] + 1);
            if (is_from && number % 2 == port && received[i].msg_len == strlen(data[i])) there++;
        }
        say("%d from %s", there, address_text(&of->address));
    }
    say("length of an address %u", received[0].msg_hdr.msg_namelen);
}

static int many_socket;
static _Atomic bool had;

static void *sends(void *nothing) {
    while (!had) {
        send_to(many_socket, "word", &target);
        usleep(200);
    }
    return nothing;
}

/* More messages than the kernel sends at once are asked for. Some are lost on a busy machine: others come. */
static void many(void) {
    enum { MANY = 1100 };
    static struct mmsghdr messages[MANY];
    static struct sockaddr_storage from[MANY];
    static struct iovec rooms[MANY];
    static char data[MANY][8];
    many_socket = socket(target.family, SOCK_DGRAM, 0);
    for (int i = 0; i < MANY; i++) {
        rooms[i] = (struct iovec){data[i], sizeof *data};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof *from, .msg_iov = &rooms[i], .msg_iovlen = 1};
    }
    pthread_t sender;
    MUST(many_socket >= 0 && send_to(many_socket, "word", &target) == 4);
    MUST(pthread_create(&sender, NULL, sends, NULL) == 0);
    int count = 0, right = 0;
    while (count < MANY) {
        int n = recvmmsg(many_socket, messages + count, MANY - count, 0, NULL);
        MUST(n > 0);
        count += n;
    }
    had = true;
    pthread_join(sender, NULL);
    for (int i = 0; i < MANY; i++) right += messages[i].msg_len == 4 && !memcmp(&from[i], &target.address, target.length);
    say("recvmmsg %d, %d from %s", count, right, address_text(&target.address));
}

static void connected(void) {
    int fd = datagram_socket();
    say("send %s", result(send(fd, "none", 4, 0)));
    say("connect %s", result(start(fd, &target)));
    show_peer(fd);
    show_local(fd);
    say("write %s", result(write(fd, "one", 3)));
    char data[64] = "";
    MUST(readable(fd));
    say("read %s %s", result(read(fd, data, 63)), data);
    say("send %s", result(send(fd, "two", 3, 0)));
    show_from(fd, 0);
    say("sendto another %s", result(send_to(fd, "three", &second)));
    /* Its answer is not for a connected socket, as long as it is connected. */
    usleep(1500000);
    say("again %s", result(send(fd, "four", 4, 0)));
    show_from(fd, 0);
    say("connect %s", result(start(fd, &second)));
    show_peer(fd);
    say("send %s", result(send(fd, "five", 4, 0)));
    show_from(fd, 0);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    say("disconnect %s", result(connect(fd, &none, sizeof none)));
    show_peer(fd);
    say("send %s", result(send(fd, "none", 4, 0)));
    say("sendto %s", result(send_to(fd, "six", &target)));
    show_from(fd, 0);
    say("connect %s", result(start(fd, &target)));
    say("send %s", result(send(fd, "", 0, 0)));
    show_from(fd, 0);
    set_port(&second, 0);
    say("connect to port 0 %s", result(start(fd, &second)));
    show_local(fd);
}

static void bound(void) {
    for (int specific = 0; specific < 2; specific++) {
        int fd = datagram_socket();
        struct target here = target;
        memset(&here.address, 0, sizeof here.address);
        here.address.ss_family = target.family;
        if (specific) {
            const char *text = target.family == AF_INET ? "10.77.0.2" : target.mapped ? "::ffff:10.77.0.2" : "fd77::2";
            void *bytes = target.family == AF_INET ? (void *)&((struct sockaddr_in *)&here.address)->sin_addr
                                                   : (void *)&((struct sockaddr_in6 *)&here.address)->sin6_addr;
            MUST(inet_pton(target.family, text, bytes) == 1);
        }
        set_port(&here, 5555 + specific);
        say("bind %s", result(bind(fd, (void *)&here.address, here.length)));
        say("sendto %s", result(send_to(fd, "one", &target)));
        show_from(fd, 0);
        say("connect %s", result(start(fd, &second)));
        struct sockaddr_storage own = {0};
        socklen_t length = sizeof own;
        MUST(getsockname(fd, (void *)&own, &length) == 0);
        say("local %s", address_text(&own));
        say("send %s", result(send(fd, "two", 3, 0)));
        show_from(fd, 0);
        struct sockaddr none = {.sa_family = AF_UNSPEC};
        say("disconnect %s", result(connect(fd, &none, sizeof none)));
        MUST(getsockname(fd, (void *)&own, &length) == 0);
        say("local %s", address_text(&own));
        say("sendto %s", result(send_to(fd, "three", &target)));
        show_from(fd, 0);
    }
    int fd = datagram_socket();
    struct target loopback = target;
    memset(&loopback.address, 0, sizeof loopback.address);
    loopback.address.ss_family = target.family;
    void *bytes = target.family == AF_INET ? (void *)&((struct sockaddr_in *)&loopback.address)->sin_addr
                                           : (void *)&((struct sockaddr_in6 *)&loopback.address)->sin6_addr;
    const char *text = target.family == AF_INET ? "127.0.0.1" : "::ffff:127.0.0.1";
    if (target.family == AF_INET6 && !target.mapped) return;
    MUST(inet_pton(target.family, text, bytes) == 1 && bind(fd, (void *)&loopback.address, loopback.length) == 0);
    say("from loopback %s", result(send_to(fd, "one", &target)));
}

static void waiting(void) {
    int fd = datagram_socket(), set = epoll_create1(0), edge = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN}, edges = {.events = EPOLLIN | EPOLLET}, seen = {0};
    MUST(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0 && epoll_ctl(edge, EPOLL_CTL_ADD, fd, &edges) == 0);
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN | POLLOUT};
    say("poll %d %s", poll(&poll_fd, 1, 0), events(poll_fd.revents));
    char data[8];
    if (target.nonblocking) say("recv %s", result(recv(fd, data, sizeof data, 0)));
    say("epoll %d", epoll_wait(set, &seen, 1, 0));
    say("sendto %s", result(send_to(fd, "one", &target)));
    say("epoll %d %s", epoll_wait(set, &seen, 1, WAIT_MS), events(seen.events));
    say("edge %d %s", epoll_wait(edge, &seen, 1, WAIT_MS), events(seen.events));
    say("level %d", epoll_wait(set, &seen, 1, 0));
    say("edge %d", epoll_wait(edge, &seen, 1, 0));
    show_from(fd, 0);
    say("level %d", epoll_wait(set, &seen, 1, 0));
    say("sendto %s", result(send_to(fd, "two", &second)));
    say("edge %d %s", epoll_wait(edge, &seen, 1, WAIT_MS), events(seen.events));
    show_from(fd, 0);
    struct timeval limit = {.tv_usec = 200000};
    MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    say("SO_RCVTIMEO %s", result(recv(fd, data, sizeof data, 0)));
    fd_set reads;
    FD_ZERO(&reads);
    FD_SET(fd, &reads);
    limit = (struct timeval){.tv_usec = 50000};
    say("select %d", select(fd + 1, &reads, NULL, NULL, &limit));
}

static void shared(char **argv) {
    int fd = datagram_socket(), copy = dup(fd);
    say("sendto %s", result(send_to(fd, "one", &target)));
    show_from(copy, 0);
    close(fd);
    say("sendto %s", result(send_to(copy, "two", &target)));
    show_from(copy, 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        say("child sendto %s", result(send_to(copy, "three", &second)));
        show_from(copy, 0);
        exit(0);
    }
    int status;
    MUST(waitpid(child, &status, 0) == child && status == 0);
    say("connect %s", result(start(copy, &target)));
    char number[16];
    snprintf(number, sizeof number, "%d", copy);
    argv[5] = "inherited";
    setenv("DATAGRAM_FD", number, 1);
    execv("/proc/self/exe", argv);
}

static void inherited(void) {
    int fd = atoi(getenv("DATAGRAM_FD"));
    show_peer(fd);
    say("send %s", result(send(fd, "four", 4, 0)));
    show_from(fd, 0);
    say("sendto %s", result(send_to(fd, "five", &target)));
    show_from(fd, 0);
}

static void sizes(void) {
    static char out[65508], in[65536];
    int fd = datagram_socket(), room = 1 << 20;
    MUST(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room) == 0);
    MUST(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room) == 0);
    for (int i = 0; i < (int)sizeof out; i++) out[i] = i % 251;
    static const int all[] = {0, 1, 1200, 1472, 1473, 9000, 60000};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        say("sendto %s", result(sendto(fd, out, all[i], 0, (void *)&target.address, target.length)));
        MUST(readable(fd));
        ssize_t n = recv(fd, in, sizeof in, 0);
        say("recv %s %s", result(n), n == all[i] && !memcmp(in, out, n) ? "the same" : "another");
    }
    say("too large %s", result(sendto(fd, out, 65508, 0, (void *)&target.address, target.length)));
}

/* The control message says where a datagram leaves: the address, here. */
static void controlled(void) {
    int fd = datagram_socket(), on = 1;
    union { char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))]; struct cmsghdr align; } space = {0};
    struct iovec part = {"one", 3};
    struct msghdr message = {.msg_name = &target.address, .msg_namelen = target.length, .msg_iov = &part, .msg_iovlen = 1,
                             .msg_control = &space, .msg_controllen = sizeof space};
    struct cmsghdr *control = CMSG_FIRSTHDR(&message);
    if (target.family == AF_INET) {
        struct in_pktinfo info = {0};
        MUST(inet_pton(AF_INET, "10.77.0.2", &info.ipi_spec_dst) == 1);
        *control = (struct cmsghdr){.cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO, .cmsg_len = CMSG_LEN(sizeof info)};
        memcpy(CMSG_DATA(control), &info, sizeof info);
        message.msg_controllen = CMSG_SPACE(sizeof info);
    } else {
        struct in6_pktinfo info = {0};
        MUST(inet_pton(AF_INET6, target.mapped ? "::ffff:10.77.0.2" : "fd77::2", &info.ipi6_addr) == 1);
        *control = (struct cmsghdr){.cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_PKTINFO, .cmsg_len = CMSG_LEN(sizeof info)};
        memcpy(CMSG_DATA(control), &info, sizeof info);
        message.msg_controllen = CMSG_SPACE(sizeof info);
    }
    say("with an address %s", result(sendmsg(fd, &message, 0)));
    show_from(fd, 0);
    say("connect %s", result(start(fd, &target)));
    message.msg_name = NULL;
    message.msg_namelen = 0;
    say("connected %s", result(sendmsg(fd, &message, 0)));
    show_from(fd, 0);
    MUST(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on) == 0);
    say("send %s", result(send(fd, "two", 3, 0)));
    show_message(fd, 64, 0);
}

int main(int argc, char **argv) {
    target = parse(argc, argv);
    second = target;
    MUST(argc == 6);
    set_port(&second, atoi(argv[4]) + 2);
    const char *what = argv[5];
    if (!strcmp(what, "unconnected")) unconnected();
    else if (!strcmp(what, "several")) several();
    else if (!strcmp(what, "many")) many();
    else if (!strcmp(what, "connected")) connected();
    else if (!strcmp(what, "bound")) bound();
    else if (!strcmp(what, "waiting")) waiting();
    else if (!strcmp(what, "shared")) shared(argv);
    else if (!strcmp(what, "inherited")) inherited();
    else if (!strcmp(what, "sizes")) sizes();
    else if (!strcmp(what, "controlled")) controlled();
    else MUST(!"known");
    return 0;
}
