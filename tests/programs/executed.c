/* Becomes a static program by a descriptor, which says what it sees of that; or does not, and says why. MORE is the way;
 * `leaf` is what they all become: this program linked statically, which lies beside this one. */
#include "transcript.h"
#include <dirent.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

/* Linux 6.14 */
#define EXECVE_CHECK 0x10000

static void show(int argc, char **argv) {
    char path[4096], name[64];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    MUST(length > 0);
    path[length] = 0;
    say("file %s", path);
    say("executed as %s", (char *)getauxval(AT_EXECFN));
    for (int i = 0; i < argc; i++) say("argument %s", argv[i]);
    /* A shell adds others. */
    say("environment %s", getenv("ONE"));
    for (int fd = 3; fd < 100; fd++) {
        if (fcntl(fd, F_GETFD) < 0) continue;
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        length = readlink(name, path, sizeof path - 1);
        MUST(length > 0);
        path[length] = 0;
        say("descriptor %d %s %d", fd, path, fcntl(fd, F_GETFD));
    }
}

/* A file without a name, which holds this one or these words. */
static int in_memory(const char *source, const char *words, unsigned flags) {
    int image = memfd_create("image", flags);
    MUST(image >= 0);
    if (words) MUST(write(image, words, strlen(words)) == (ssize_t)strlen(words));
    int file = words ? -1 : open(source, O_RDONLY | O_CLOEXEC);
    while (file >= 0 && sendfile(image, file, NULL, 1 << 20) > 0) {}
    if (file >= 0) close(file);
    return image;
}

/* What is refused, each with its errno, and what is left of the descriptor. */
static void refused(const char *path, const char *link, char **leaf) {
    static const char script[] = "#!/usr/bin/busybox sh\necho $0\n";
    int file = open(path, O_RDONLY | O_CLOEXEC), text = in_memory(NULL, script, MFD_CLOEXEC);
    int plain = in_memory(path, NULL, MFD_CLOEXEC);
    MUST(fchmod(plain, 0600) == 0);
    /* What the compiler knows to be null it would not let through. */
    void *volatile nowhere = NULL;
    unlink(link);
    MUST(symlink(path, link) == 0);
    int folder = open("/", O_PATH | O_CLOEXEC), itself = open(link, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    say("script %s", result(fexecve(text, leaf, environ)));
    say("not to be executed %s", result(fexecve(plain, leaf, environ)));
    say("folder %s", result(fexecve(folder, leaf, environ)));
    say("closed %s", result(fexecve(99, leaf, environ)));
    say("no descriptor %s", result(fexecve(-1, leaf, environ)));
    say("no words %s", result(fexecve(file, (char **)nowhere, environ)));
    say("link %s", result(execveat(AT_FDCWD, link, leaf, environ, AT_SYMLINK_NOFOLLOW)));
    say("link below %s", result(execveat(folder, link + 1, leaf, environ, AT_SYMLINK_NOFOLLOW)));
    say("link itself %s", result(fexecve(itself, leaf, environ)));
    say("nothing below %s", result(execveat(folder, "no/such", leaf, environ, 0)));
    say("below a file %s", result(execveat(file, "x", leaf, environ, 0)));
    say("empty %s", result(execveat(file, "", leaf, environ, 0)));
    say("here %s", result(execveat(AT_FDCWD, "", leaf, environ, AT_EMPTY_PATH)));
    say("no path %s", result(execveat(file, nowhere, leaf, environ, AT_EMPTY_PATH)));
    say("other flags %s", result(execveat(file, "", leaf, environ, AT_EMPTY_PATH | AT_REMOVEDIR)));
    say("asked %s", result(execveat(file, "", leaf, environ, AT_EMPTY_PATH | EXECVE_CHECK)));
    for (int fd = 3; fd < 100; fd++)
        if (fcntl(fd, F_GETFD) >= 0) say("descriptor %d %d", fd, fcntl(fd, F_GETFD));
    unlink(link);
}

int main(int argc, char **argv) {
    struct target target = parse(argc, argv);
    MUST(argc == 6);
    const char *way = argv[5];
    if (!strcmp(way, "leaf")) {
        show(argc, argv);
        int fd = open_socket(&target);
        connect_and_wait(fd, &target);
        echo(fd, "leaf");
        return 0;
    }
    char path[4096], folder[4096], *nothing[] = {"ONE=1", NULL};
    char *leaf[] = {"the leaf", argv[1], argv[2], argv[3], argv[4], "leaf", NULL};
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 16);
    MUST(length > 0);
    memcpy(folder, path, length);
    strcpy(path + length, "-static");
    folder[length] = 0;
    char *name = strrchr(folder, '/');
    *name++ = 0;
    strcat(name, "-static");
    int kept = !strcmp(way, "kept") || !strcmp(way, "below-kept") || !strcmp(way, "script") ? 0 : O_CLOEXEC;
    if (!strcmp(way, "refused")) {
        char link[64];
        snprintf(link, sizeof link, "/tmp/executed.%d", getpid());
        refused(path, link, leaf);
    } else if (!strcmp(way, "file") || !strcmp(way, "kept")) {
        fexecve(open(path, O_RDONLY | kept), leaf, nothing);
    } else if (!strcmp(way, "memory")) {
        fexecve(in_memory(path, NULL, MFD_CLOEXEC), leaf, nothing);
    } else if (!strcmp(way, "below") || !strcmp(way, "below-kept")) {
        execveat(open(folder, O_PATH | kept), name, leaf, nothing, 0);
    } else if (!strcmp(way, "named")) {
        int image = in_memory(path, NULL, MFD_CLOEXEC);
        snprintf(folder, sizeof folder, "/proc/self/fd/%d", image);
        execve(folder, leaf, nothing);
    } else if (!strcmp(way, "script")) {
        /* Its interpreter is static. */
        char words[sizeof path + 64];
        snprintf(words, sizeof words, "#!/usr/bin/busybox sh\necho $0 $#\nexec %s \"$@\"\n", path);
        fexecve(in_memory(NULL, words, 0), leaf, nothing);
    }
    return 0;
}
