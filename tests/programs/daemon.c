/* A daemon: detached twice from whoever started it, without an environment, and with arguments
 * that it has overwritten. Arguments: NAME PORT FILE. When the file `connect` appears it connects,
 * and writes what it read to the file; then it lives on until the file `end` appears. */
#include "transcript.h"

int main(int argc, char **argv) {
    MUST(argc == 4);
    char name[256], port[16], file[1024], line[256] = "";
    snprintf(name, sizeof name, "%s", argv[1]);
    snprintf(port, sizeof port, "%s", argv[2]);
    snprintf(file, sizeof file, "%s", argv[3]);
    if (fork()) _exit(0);
    setsid();
    if (fork()) _exit(0);
    for (int fd = 0; fd < 1024; fd++) close(fd);
    /* As setproctitle does: the strings of both lie together, the environment behind. */
    char *first = argv[0], *last = argv[argc - 1] + strlen(argv[argc - 1]);
    for (char **entry = environ; *entry; entry++) last = *entry + strlen(*entry);
    memset(first, 0, last - first);
    strcpy(first, "d");
    clearenv();
    while (access("connect", F_OK)) usleep(20000);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int failed = getaddrinfo(name, port, &hints, &list);
    int fd = failed ? -1 : socket(list->ai_family, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, list->ai_addr, list->ai_addrlen) == 0)
        MUST(read(fd, line, sizeof line - 1) > 0);
    else
        snprintf(line, sizeof line, "%s\n", failed ? gai_strerror(failed) : errno_name(errno));
    int out = open(file, O_WRONLY | O_CREAT, 0600);
    if (write(out, line, strlen(line)) < 0) return 1;
    while (access("end", F_OK)) usleep(20000);
    return 0;
}
