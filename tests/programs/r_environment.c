/* Runs a program with one more entry at the end of its environment: r_environment ENTRY PROGRAM... */
#include "transcript.h"

int main(int argc, char **argv) {
    char *entries[600];
    int count = 0;
    MUST(argc >= 3);
    for (char **entry = environ; *entry && count < 590; entry++) entries[count++] = *entry;
    entries[count++] = argv[1];
    entries[count] = NULL;
    execve(argv[2], argv + 2, entries);
    MUST(!"exec");
}
