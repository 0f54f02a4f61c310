/* getaddrinfo_a and its relatives. Arguments: HOW NAME...
 *   wait, none, signal, thread       getaddrinfo_a with GAI_WAIT, and with GAI_NOWAIT and each notification
 *   empty                            a list of nothing, with a signal
 *   mode                             a mode that does not exist
 *   cancel                           gai_cancel when all is done
 *   late, late-thread, late-signal   as none, thread and signal, when nobody answers: waits for lines of input
 *   jump                             a handler that leaves by siglongjmp */
#include "transcript.h"
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>

static sem_t told;
static volatile int value, code, number;
static sigjmp_buf place;

static void on_signal(int signal, siginfo_t *info, void *context) {
    (void)context;
    value = info->si_value.sival_int;
    code = info->si_code;
    number = signal;
    if (info->si_value.sival_int == 9) siglongjmp(place, 1);
    sem_post(&told);
}

static void on_thread(union sigval passed) {
    value = passed.sival_int;
    sem_post(&told);
}

/* The addresses differ between the worlds: the same connection shows that they are right. */
static void reach(const struct addrinfo *one) {
    char hello[8] = "";
    int fd = socket(one->ai_family, one->ai_socktype, one->ai_protocol);
    say("connect %s", result(connect(fd, one->ai_addr, one->ai_addrlen)));
    say("recv %s %.5s", result(receive(fd, hello, 6)), hello);
    close(fd);
}

static void show(struct gaicb **list, int count) {
    for (int i = 0; i < count; i++) {
        if (!list[i]) continue;
        int error = gai_error(list[i]);
        say("%s: %s", list[i]->ar_name ? list[i]->ar_name : "-", error ? gai_strerror(error) : "found");
        if (error) continue;
        struct addrinfo *one = list[i]->ar_result;
        say("family %d, type %d, length %u, port %d, canonical %s", one->ai_family, one->ai_socktype, one->ai_addrlen,
            ntohs(((struct sockaddr_in *)one->ai_addr)->sin_port), one->ai_canonname ? one->ai_canonname : "-");
        reach(one);
        freeaddrinfo(one);
    }
}

/* Nobody answers until the next line of the input. */
static void while_nobody_answers(struct gaicb **list, int count) {
    const struct gaicb *const *all = (const struct gaicb *const *)list;
    struct timespec limit = {.tv_nsec = 50000000};
    bool pending = gai_error(list[0]) == EAI_INPROGRESS;
    say("%s", pending ? "in progress" : "done");
    say("gai_suspend %d", gai_suspend(all, count, &limit));
    say("gai_cancel %d", gai_cancel(list[0]));
    char line[16];
    MUST(fgets(line, sizeof line, stdin));
}

int main(int argc, char **argv) {
    MUST(argc >= 2);
    const char *how = argv[1];
    bool late = !strncmp(how, "late", 4);
    if (late) {
        char line[16];
        how = how[4] ? how + 5 : "none";
        say("ready");
        MUST(fgets(line, sizeof line, stdin));
    }
    int count = argc - 2, error;
    struct addrinfo hints = {.ai_flags = AI_CANONNAME, .ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct gaicb *list[16] = {0};
    for (int i = 0; i < count; i++) {
        if (!strcmp(argv[i + 2], "null")) continue;
        list[i] = calloc(1, sizeof *list[i]);
        list[i]->ar_name = argv[i + 2];
        list[i]->ar_service = "7006";
        list[i]->ar_request = &hints;
    }
    struct sigevent event = {.sigev_notify = SIGEV_NONE, .sigev_value.sival_int = 5};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    MUST(sigaction(SIGRTMIN, &action, NULL) == 0 && sem_init(&told, 0, 0) == 0);
    int mode = GAI_NOWAIT;
    if (!strcmp(how, "wait")) mode = GAI_WAIT;
    if (!strcmp(how, "mode")) mode = 7;
    if (!strcmp(how, "thread")) {
        event.sigev_notify = SIGEV_THREAD;
        event.sigev_notify_function = on_thread;
    }
    bool signalled = !strcmp(how, "signal") || !strcmp(how, "empty") || !strcmp(how, "jump");
    if (signalled) {
        event.sigev_notify = SIGEV_SIGNAL;
        event.sigev_signo = SIGRTMIN;
    }
    if (!strcmp(how, "jump")) {
        event.sigev_value.sival_int = 9;
        if (sigsetjmp(place, 1) == 0) {
            error = getaddrinfo_a(mode, list, count, &event);
            for (;;) pause();
        }
        say("jumped");
        show(list, count);
        /* The library must not be left in a call. */
        event.sigev_notify = SIGEV_NONE;
        error = getaddrinfo_a(GAI_WAIT, list, count, &event);
        say("again %d", error);
        show(list, count);
        return 0;
    }
    errno = 0;
    error = getaddrinfo_a(mode, list, count, strcmp(how, "none") ? &event : NULL);
    say("getaddrinfo_a %d %s", error, error == EAI_SYSTEM ? errno_name(errno) : "");
    if (error) return 0;
    if (late) while_nobody_answers(list, count);
    if (signalled || !strcmp(how, "thread")) {
        while (sem_wait(&told) && errno == EINTR) continue;
        say("told %d", value);
        if (signalled) say("by signal %d, code %d", number - SIGRTMIN, code);
    }
    if (!strcmp(how, "none")) {
        struct timespec limit = {.tv_sec = 60};
        for (bool pending = true; pending;) {
            pending = false;
            for (int i = 0; i < count; i++) pending |= list[i] && gai_error(list[i]) == EAI_INPROGRESS;
            if (pending) {
                error = gai_suspend((const struct gaicb *const *)list, count, &limit);
                MUST(error == 0 || error == EAI_ALLDONE);
            }
        }
    }
    if (strcmp(how, "cancel"))
        say("gai_suspend %d", gai_suspend((const struct gaicb *const *)list, count, NULL));
    else
        for (int i = 0; i < count; i++) {
            while (gai_error(list[i]) == EAI_INPROGRESS) gai_suspend((const struct gaicb *const *)list, count, NULL);
            /* libc keeps an entry in its list a moment longer. */
            while ((error = gai_cancel(list[i])) == EAI_NOTCANCELED) usleep(1000);
            say("gai_cancel %d", error);
        }
    show(list, count);
    return 0;
}
