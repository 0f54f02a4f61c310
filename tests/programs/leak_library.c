/* A library that connects: as a module of the name service, as another preload library, or past everyone. */
#include "leak.h"
#include <dlfcn.h>
#include <nss.h>
#include <pwd.h>

#if defined SYMBOLIC
/* Its own connect, without libc. */
int connect(int fd, const struct sockaddr *address, socklen_t size) {
#if defined __x86_64__
    long answer = SYS_connect;
    __asm__ volatile("syscall" : "+a"(answer) : "D"((long)fd), "S"(address), "d"((long)size) : "rcx", "r11", "memory");
#else
    register long number __asm__("x8") = SYS_connect;
    register long answer __asm__("x0") = fd;
    register long second __asm__("x1") = (long)address;
    register long third __asm__("x2") = size;
    __asm__ volatile("svc 0" : "+r"(answer) : "r"(number), "r"(second), "r"(third) : "memory");
#endif
    if (answer >= 0) return (int)answer;
    errno = (int)-answer;
    return -1;
}
#elif defined SECOND
/* Another preload library, which asks for the next connect. */
int connect(int fd, const struct sockaddr *address, socklen_t size) {
    int (*next)(int, const struct sockaddr *, socklen_t) = (__typeof__(next))dlsym(RTLD_NEXT, "connect");
    return next(fd, address, size);
}
#else
enum nss_status _nss_leak_getpwnam_r(const char *name, struct passwd *found, char *buffer, size_t size, int *error) {
    (void)name, (void)found, (void)buffer, (void)size;
    *error = ENOENT;
    connected(opened(AF_INET, SOCK_STREAM, 0), FAR);
    return NSS_STATUS_NOTFOUND;
}
#endif
