/* Before the text of a program (gcc -include): its calls are made by number. */
#define _GNU_SOURCE
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define connect(...) (int)syscall(SYS_connect, __VA_ARGS__)
#define epoll_ctl(...) (int)syscall(SYS_epoll_ctl, __VA_ARGS__)
#define execve(...) syscall(SYS_execve, __VA_ARGS__)
#define execveat(...) syscall(SYS_execveat, __VA_ARGS__)
#define fexecve(file, ...) syscall(SYS_execveat, file, "", __VA_ARGS__, AT_EMPTY_PATH)
#define getpeername(...) (int)syscall(SYS_getpeername, __VA_ARGS__)
#define getsockname(...) (int)syscall(SYS_getsockname, __VA_ARGS__)
#define getsockopt(...) (int)syscall(SYS_getsockopt, __VA_ARGS__)
#define recv(...) syscall(SYS_recvfrom, __VA_ARGS__, NULL, NULL)
#define recvfrom(...) syscall(SYS_recvfrom, __VA_ARGS__)
#define recvmmsg(...) (int)syscall(SYS_recvmmsg, __VA_ARGS__)
#define recvmsg(...) syscall(SYS_recvmsg, __VA_ARGS__)
#define send(...) syscall(SYS_sendto, __VA_ARGS__, NULL, 0)
#define sendmmsg(...) (int)syscall(SYS_sendmmsg, __VA_ARGS__)
#define sendmsg(...) syscall(SYS_sendmsg, __VA_ARGS__)
#define sendto(...) syscall(SYS_sendto, __VA_ARGS__)
#define setsockopt(...) (int)syscall(SYS_setsockopt, __VA_ARGS__)
#define socket(...) (int)syscall(SYS_socket, __VA_ARGS__)
