/* Loaded before libc (LD_PRELOAD): a system without IPv6 (ipv6.disable=1). */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int socket(int domain, int type, int protocol)
{
    if (domain == AF_INET6) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    return syscall(SYS_socket, domain, type, protocol);
}
