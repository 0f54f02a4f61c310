/* Before the text of a program (gcc -include): its calls are made by libc's other names for them. Those that libc
 * keeps for itself are no longer linked with, but found all the same. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define FOUND(name) ((__typeof__(&name))dlsym(RTLD_DEFAULT, FOUND_##name))
#define FOUND_popen "_IO_popen"
#define FOUND_sendmmsg "__sendmmsg"
#define FOUND_socket "__socket"
#define FOUND_system "__libc_system"

extern __typeof__(connect) __connect;
extern __typeof__(send) __send;

#define connect(...) __connect(__VA_ARGS__)
#define popen(...) FOUND(popen)(__VA_ARGS__)
#define send(...) __send(__VA_ARGS__)
#define sendmmsg(...) FOUND(sendmmsg)(__VA_ARGS__)
#define socket(...) FOUND(socket)(__VA_ARGS__)
#define system(...) FOUND(system)(__VA_ARGS__)
