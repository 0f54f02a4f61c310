/* Names. Arguments: HOW NAME PORT. Resolves the name, connects, reads a greeting.
 *   HOW  getaddrinfo, gethostbyname, gethostbyname2, gethostbyname_r, gethostbyname2_r,
 *        child (resolved in a child), exec (resolved before exec), resolve (prints the address
 *        only), address (NAME is an address), service (a bad one), neither (no name and no service) */
#include "transcript.h"

static bool lookup(const char *how, const char *name, struct in_addr *address) {
    struct hostent entry, *found = NULL;
    char space[4096];
    int herrno = 0;
    if (!strcmp(how, "gethostbyname")) {
        found = gethostbyname(name);
        herrno = h_errno;
    } else if (!strcmp(how, "gethostbyname2")) {
        found = gethostbyname2(name, AF_INET);
        herrno = h_errno;
    } else if (!strcmp(how, "gethostbyname_r")) {
        MUST(gethostbyname_r(name, &entry, space, sizeof space, &found, &herrno) == 0);
    } else if (!strcmp(how, "gethostbyname2_r")) {
        MUST(gethostbyname2_r(name, AF_INET, &entry, space, sizeof space, &found, &herrno) == 0);
    } else {
        struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list = NULL;
        int error = getaddrinfo(name, "7006", &hints, &list);
        if (error) {
            say("getaddrinfo: %s", gai_strerror(error));
            return false;
        }
        int count = 0;
        for (struct addrinfo *one = list; one; one = one->ai_next) count++;
        say("family %d, type %d, protocol %d, port %d, length %u, entries %d", list->ai_family, list->ai_socktype,
            list->ai_protocol, ntohs(((struct sockaddr_in *)list->ai_addr)->sin_port), list->ai_addrlen, count);
        *address = ((struct sockaddr_in *)list->ai_addr)->sin_addr;
        freeaddrinfo(list);
        return true;
    }
    if (!found) {
        say("%s: %s", how, hstrerror(herrno));
        return false;
    }
    say("name %s, type %d, length %d", found->h_name, found->h_addrtype, found->h_length);
    memcpy(address, found->h_addr_list[0], sizeof *address);
    return true;
}

static int use(struct in_addr in, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = in};
    bool stand_in = ntohl(in.s_addr) >> 17 == (198 << 7 | 18 >> 1);
    say("address %s", stand_in ? "of 198.18.0.0/15" : inet_ntoa(in));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int error = connect(fd, (void *)&address, sizeof address);
    say("connect %s", result(error));
    if (error) return 1;
    char hello[8] = "";
    say("recv %s", result(receive(fd, hello, 6)));
    printf("%s", hello);
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    MUST(getpeername(fd, (void *)&peer, &length) == 0);
    say("the peer is what was asked for: %s",
        peer.sin_addr.s_addr == in.s_addr && peer.sin_port == address.sin_port ? "yes" : "no");
    return 0;
}

int main(int argc, char **argv) {
    MUST(argc == 4);
    const char *how = argv[1], *name = argv[2];
    int port = atoi(argv[3]);
    struct in_addr address;
    if (!strcmp(how, "address")) {
        MUST(inet_aton(name, &address));
        return use(address, port);
    }
    if (!strcmp(how, "service") || !strcmp(how, "neither")) {
        struct addrinfo *list = NULL, hints = {.ai_socktype = SOCK_STREAM};
        const char *service = strcmp(how, "service") ? NULL : "no-such-service";
        int error = getaddrinfo(service ? name : NULL, service, &hints, &list);
        say("getaddrinfo %d %s", error, gai_strerror(error));
        return 0;
    }
    if (!strcmp(how, "child")) {
        int ends[2];
        MUST(pipe(ends) == 0);
        if (fork() == 0) {
            MUST(lookup(how, name, &address) && write(ends[1], &address, sizeof address) == sizeof address);
            _exit(0);
        }
        wait(NULL);
        MUST(read(ends[0], &address, sizeof address) == sizeof address);
        return use(address, port);
    }
    if (!lookup(how, name, &address)) return 1;
    if (!strcmp(how, "resolve")) {
        say("%s", inet_ntoa(address));
        return 0;
    }
    if (!strcmp(how, "exec")) {
        execl("/proc/self/exe", argv[0], "address", inet_ntoa(address), argv[3], NULL);
        return 98;
    }
    return use(address, port);
}
