/* Look-ups of libresolv that programs can no longer be linked with, and old ones are. Each line says what one
 * has given. */
#include "transcript.h"

/* GLIBC_2.2.5 is the first version of x86-64. */
#if defined __x86_64__
#define FIRST "GLIBC_2.2.5"
#else
#define FIRST "GLIBC_2.17"
#endif
#define OLD(name) __asm__(".symver " #name "," #name "@" FIRST)

struct hostent *res_gethostbyname(const char *), *res_gethostbyname2(const char *, int);
struct hostent *res_gethostbyaddr(const void *, socklen_t, int);
OLD(res_gethostbyname);
OLD(res_gethostbyname2);
OLD(res_gethostbyaddr);

static void show(const char *how, const struct hostent *found) {
    char text[INET6_ADDRSTRLEN];
    if (!found) {
        say("%s h_errno %d", how, h_errno);
        return;
    }
    say("%s %s %s", how, found->h_name, inet_ntop(found->h_addrtype, found->h_addr_list[0], text, sizeof text));
}

int main(void) {
    struct in_addr nine;
    inet_pton(AF_INET, "10.99.0.9", &nine);
    show("res_gethostbyname", res_gethostbyname("listed.test"));
    show("res_gethostbyname", res_gethostbyname("echo.test"));
    show("res_gethostbyname2", res_gethostbyname2("v6.test", AF_INET6));
    show("res_gethostbyaddr", res_gethostbyaddr(&nine, sizeof nine, AF_INET));
    return 0;
}
