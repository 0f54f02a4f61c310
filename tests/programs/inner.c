/* Functions of libc that look names up inside. Each line says what it has given. */
#include "transcript.h"

int ruserok(const char *, int, const char *, const char *);
int ruserok_af(const char *, int, const char *, const char *, sa_family_t);
int iruserok(uint32_t, int, const char *, const char *);
int iruserok_af(const void *, int, const char *, const char *, sa_family_t);

int main(void) {
    struct netent space, *found = NULL;
    char buffer[1024];
    int herrno;
    gethostid();
    say("gethostid ended");
    say("getnetbyname %s", getnetbyname("nowhere.test") ? "found" : "not found");
    say("getnetbyaddr %s", getnetbyaddr(0x0a630000, AF_INET) ? "found" : "not found");
    getnetbyname_r("nowhere.test", &space, buffer, sizeof buffer, &found, &herrno);
    say("getnetbyname_r %s", found ? "found" : "not found");
    getnetbyaddr_r(0x0a630000, AF_INET, &space, buffer, sizeof buffer, &found, &herrno);
    say("getnetbyaddr_r %s", found ? "found" : "not found");
    say("ruserok %d", ruserok("missing.test", 0, "nobody", "nobody"));
    say("ruserok_af %d", ruserok_af("missing.test", 0, "nobody", "nobody", AF_INET));
    say("iruserok %d", iruserok(inet_addr("10.99.0.1"), 0, "nobody", "nobody"));
    say("iruserok_af %d", iruserok_af(&(struct in_addr){inet_addr("10.99.0.1")}, 0, "nobody", "nobody", AF_INET));
    setnetent(1);
    say("getnetent %s", getnetent() ? "some" : "none");
    sethostent(1);
    while (gethostent()) continue;
    say("gethostent ended");
    return 0;
}
