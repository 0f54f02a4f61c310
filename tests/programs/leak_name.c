/* Ways of a name: WAY NAME. It writes the name's first address. */
#include "leak.h"
#include <arpa/nameser.h>
#include <netdb.h>
#include <pwd.h>
#include <resolv.h>

static int shown(const void *found) {
    if (!found) {
        puts("nothing found");
        return 1;
    }
    puts("found");
    return 0;
}

static int host_of(const char *way, const char *name) {
    struct hostent space, *found = NULL;
    char buffer[4096];
    int why;
    Address nine = address_of("10.99.0.9", 0);
    if (!strcmp(way, "gethostbyname")) found = gethostbyname(name);
    if (!strcmp(way, "gethostbyname2")) found = gethostbyname2(name, AF_INET6);
    if (!strcmp(way, "gethostbyname_r")) gethostbyname_r(name, &space, buffer, sizeof buffer, &found, &why);
    if (!strcmp(way, "gethostbyname2_r")) gethostbyname2_r(name, AF_INET, &space, buffer, sizeof buffer, &found, &why);
    if (!strcmp(way, "gethostbyaddr")) found = gethostbyaddr(&nine.v4.sin_addr, 4, AF_INET);
    if (!strcmp(way, "gethostbyaddr_r")) gethostbyaddr_r(&nine.v4.sin_addr, 4, AF_INET, &space, buffer, sizeof buffer, &found, &why);
    return shown(found);
}

static int query(const char *way, const char *name) {
    unsigned char answer[4096];
    struct __res_state state = {0};
    int size = -1;
    if (!strcmp(way, "res_query")) size = res_query(name, C_IN, T_A, answer, sizeof answer);
    if (!strcmp(way, "res_search")) size = res_search(name, C_IN, T_A, answer, sizeof answer);
    if (!strcmp(way, "res_nquery") && !res_ninit(&state)) size = res_nquery(&state, name, C_IN, T_A, answer, sizeof answer);
    if (!strcmp(way, "res_send")) {
        unsigned char question[512];
        int length = res_mkquery(QUERY, name, C_IN, T_A, NULL, 0, NULL, question, sizeof question);
        size = res_send(question, length, answer, sizeof answer);
    }
    return shown(size > 0 ? answer : NULL);
}

/* A resolver of the program's own. */
static int by_datagram(void) {
    static const char question[] = "\x12\x34\x01\0\0\1\0\0\0\0\0\0\4echo\4test\0\0\1\0\1";
    int fd = opened(AF_INET, SOCK_DGRAM, 0);
    Address server = address_of("10.77.0.1", 53);
    if (sendto(fd, question, sizeof question - 1, 0, &server.any, size_of(&server)) < 0) return fails("sendto");
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    return shown(poll(&ready, 1, WAIT_MS) == 1 ? server.any.sa_data : NULL);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    const char *way = argv[1], *name = argv[2];
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct addrinfo *found = NULL;
    if (!strcmp(way, "getaddrinfo")) return shown(getaddrinfo(name, NULL, NULL, &found) ? NULL : found);
    if (!strcmp(way, "service")) return shown(getaddrinfo(name, "http", NULL, &found) ? NULL : found);
    if (!strcmp(way, "getaddrinfo_a")) {
        struct gaicb one = {.ar_name = name}, *all[] = {&one};
        getaddrinfo_a(GAI_WAIT, all, 1, NULL);
        return shown(one.ar_result);
    }
    if (!strcmp(way, "getnameinfo")) {
        char host[256];
        Address nine = address_of("10.99.0.9", 0);
        return shown(getnameinfo(&nine.any, size_of(&nine), host, sizeof host, NULL, 0, NI_NAMEREQD) ? NULL : host);
    }
    if (!strcmp(way, "getpwnam")) {
        /* A module of the name service makes a connection of its own. */
        getpwnam(name);
        return 0;
    }
    if (!strcmp(way, "datagram")) return by_datagram();
    return !strncmp(way, "res_", 4) ? query(way, name) : host_of(way, name);
}
