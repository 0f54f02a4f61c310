/* syscall(2): what nobody but the kernel has an interest in is the kernel's, with all its arguments. */
#include "transcript.h"
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>

static void show(const char *what, long value) {
    say("%s %s", what, result(value));
}

#if defined __x86_64__
static void child(void) {
    syscall(SYS_exit, 7);
}

/* A child on a stack of its own returns from clone to what lies on that stack, and finds nothing else there. */
static void clones(void) {
    static long stack[1024] __attribute__((aligned(16)));
    stack[1022] = (long)child;
    long pid = syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, &stack[1022], NULL, NULL, NULL);
    int status;
    MUST(waitpid(pid, &status, 0) == pid);
    say("clone %d", status);
}

/* A child of vfork may write below the place to which its parent returns. */
static void forks(void) {
    long pid = syscall(SYS_vfork);
    if (pid == 0)
        __asm__ volatile(
            "lea -16(%%rsp), %%rdi\n\tmov $512, %%ecx\n\txor %%eax, %%eax\n\tstd\n\trep stosb\n\tcld\n\t"
            "mov $60, %%eax\n\tmov $9, %%edi\n\tsyscall" ::: "memory");
    int status;
    MUST(pid > 0 && waitpid(pid, &status, 0) == pid);
    say("vfork %d", status);
}

/* The same call under the number of another interface. */
static void elsewhere(void) {
    show("x32 connect", syscall(0x40000000 | SYS_connect, -1, NULL, 0));
}
#else
static void clones(void) {}
static void forks(void) {}
static void elsewhere(void) {}
#endif

int main(void) {
    char text[64] = "";
    int file = syscall(SYS_memfd_create, "numbers", 0), other = syscall(SYS_memfd_create, "other", 0);
    MUST(file >= 0 && other >= 0);
    show("ftruncate", syscall(SYS_ftruncate, file, 8192L));
    show("pwrite64", syscall(SYS_pwrite64, file, "second page", 11L, 4096L));
    char *page = (char *)syscall(SYS_mmap, NULL, 4096L, PROT_READ, MAP_SHARED, file, 4096L);
    MUST(page != MAP_FAILED);
    say("mmap %s", page);
    show("munmap", syscall(SYS_munmap, page, 4096L));
    off_t from = 4096, to = 2;
    show("copy_file_range", syscall(SYS_copy_file_range, file, &from, other, &to, 6L, 0));
    show("pread64", syscall(SYS_pread64, other, text, 63L, 2L));
    say("text %s, %ld, %ld", text, (long)from, (long)to);
    int ends[2];
    show("pipe2", syscall(SYS_pipe2, ends, O_CLOEXEC));
    from = 4096;
    show("splice", syscall(SYS_splice, file, &from, ends[1], NULL, 11L, 0));
    memset(text, 0, sizeof text);
    show("read", syscall(SYS_read, ends[0], text, 63L));
    say("text %s", text);
    uint32_t word = 5;
    struct timespec soon = {.tv_nsec = 1000000};
    show("futex", syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 4, &soon, NULL, ~0u));
    show("futex", syscall(SYS_futex, &word, FUTEX_WAIT, 5, &soon, NULL, 0));
    fd_set set;
    FD_ZERO(&set);
    show("pselect6", syscall(SYS_pselect6, 1, NULL, &set, NULL, &soon, NULL));
    show("prctl", syscall(SYS_prctl, PR_SET_NAME, "by number", 0L, 0L, 0L));
    show("prctl", syscall(SYS_prctl, PR_GET_NAME, text, 0L, 0L, 0L));
    say("text %s", text);
    say("getpid %d, gettid %d, getppid %d", syscall(SYS_getpid) == getpid(), syscall(SYS_gettid) == gettid(),
        syscall(SYS_getppid) == getppid());
    show("getrandom", syscall(SYS_getrandom, text, 8L, 0));
    show("dup3", syscall(SYS_dup3, file, file, 0));
    show("lseek", syscall(SYS_lseek, file, 5L, SEEK_SET));
    show("statx", syscall(SYS_statx, -1, "", AT_EMPTY_PATH, 0u, NULL));
    show("openat", syscall(SYS_openat, AT_FDCWD, "/no/such/file", O_RDONLY, 0));
    show("9999", syscall(9999, 1L, 2L, 3L, 4L, 5L, 6L));
    show("-1", syscall(-1));
    errno = 0;
    int pair[2];
    show("socketpair", syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, pair));
    show("sendto", syscall(SYS_sendto, pair[0], "local", 5L, MSG_NOSIGNAL, NULL, 0));
    memset(text, 0, sizeof text);
    show("recvfrom", syscall(SYS_recvfrom, pair[1], text, 63L, 0, NULL, NULL));
    say("text %s, errno %s", text, errno_name(errno));
    show("connect", syscall(SYS_connect, -1, NULL, 0));
    show("connect", syscall(SYS_connect, file, NULL, 0));
    show("sendmmsg", syscall(SYS_sendmmsg, file, NULL, 0, 0));
    show("getsockopt", syscall(SYS_getsockopt, file, SOL_SOCKET, SO_TYPE, NULL, NULL));
    show("execve", syscall(SYS_execve, "/no/such/file", NULL, NULL));
    show("execveat", syscall(SYS_execveat, -1, "no", NULL, NULL, 0));
    clones();
    forks();
    elsewhere();
    return 0;
}
