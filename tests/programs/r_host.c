/* What gethostbyname and its relatives make of odd names, one argument each. */
#include "transcript.h"

static void show(const char *call, const char *name, const struct hostent *entry) {
    say("%s %s: %s", call, name, entry ? "found" : h_errno == HOST_NOT_FOUND ? "not found" : "error");
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        show("gethostbyname", argv[i], gethostbyname(argv[i]));
        show("gethostbyname2", argv[i], gethostbyname2(argv[i], AF_INET6));
        struct addrinfo *found = NULL;
        int rc = getaddrinfo(argv[i], NULL, NULL, &found);
        say("getaddrinfo %s: %s", argv[i], rc ? "failed" : "found");
        if (found) freeaddrinfo(found);
    }
    return 0;
}
