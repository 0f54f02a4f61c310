/* A 32-bit program, without any library: a connection that does not wait. */
static int call(int number, int a, const void *b, int c) {
    int answer;
    __asm__ volatile("int $0x80" : "=a"(answer) : "0"(number), "b"(a), "c"(b), "d"(c) : "memory");
    return answer;
}

void _start(void) {
    /* AF_INET, port 7007, 10.99.0.1 */
    static const unsigned char to[16] = {2, 0, 0x1b, 0x5f, 10, 99, 0, 1};
    /* SOCK_STREAM and SOCK_NONBLOCK */
    int fd = call(359, 2, (const void *)04001, 0);
    call(362, fd, to, sizeof to);
    call(1, fd < 0, 0, 0);
}
