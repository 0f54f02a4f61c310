/* The resolver functions, a call for each line of the input, with what it gives behind it:
 *   gai NODE SERVICE FLAGS FAMILY TYPE PROTOCOL      getaddrinfo; FLAGS "none": without hints
 *   host FUNCTION NAME FAMILY SIZE                   gethostbyname, 2, _r, 2_r
 *   addr FUNCTION ADDRESS FAMILY SIZE                gethostbyaddr, _r; ADDRESS "of:NAME": the address of NAME
 *   info ADDRESS PORT HOSTSIZE SERVICESIZE FLAGS     getnameinfo
 *   res FUNCTION NAME DOMAIN TYPE SIZE               res_query, search, querydomain, send and the n forms
 * "-" is a null pointer, "=" an empty string, "L63" a name of 63 letters. An address by which the
 * destinations are reached is written as "there", since it is another one under underpass. */
#include "transcript.h"
#include <arpa/nameser.h>
#include <locale.h>
#include <resolv.h>
#include <sys/un.h>

/* A stand-in, or the destinations' own. */
static bool is_there(int family, const unsigned char *bytes) {
    static const unsigned char fake[8] = {0xfd, 0x75, 0x6e, 0x64, 0x65, 0x72, 0x70, 0x61}, real[2] = {0xfd, 0x99};
    if (family == AF_INET6) return !memcmp(bytes, fake, sizeof fake) || !memcmp(bytes, real, sizeof real);
    return (bytes[0] == 198 && (bytes[1] & 0xfe) == 18) || (bytes[0] == 10 && bytes[1] == 99);
}

static const char *shown(int family, const void *address) {
    static char text[INET6_ADDRSTRLEN + 8];
    const unsigned char *bytes = address;
    if (is_there(family, bytes)) return family == AF_INET ? "there" : "there6";
    if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED((struct in6_addr *)address) && is_there(AF_INET, bytes + 12))
        return "mapped";
    return inet_ntop(family, address, text, sizeof text);
}

static char *word(char *text) {
    if (!text || !strcmp(text, "-")) return NULL;
    if (!strcmp(text, "=")) return "";
    if (text[0] == 'L' && text[1] >= '1' && text[1] <= '9') {
        int length = atoi(text + 1);
        char *name = malloc(length + 1);
        memset(name, 'x', length);
        name[length] = 0;
        /* Labels of 63 where it is longer: "L63" is one label, "L255" a name of several. */
        if (text[strlen(text) - 1] == '.')
            for (int i = 63; i < length; i += 64) name[i] = '.';
        return name;
    }
    return text;
}

static const char *eai(int code) {
    static char text[16];
    switch (code) {
    case 0: return "0";
    case EAI_NONAME: return "EAI_NONAME";
    case EAI_NODATA: return "EAI_NODATA";
    case EAI_ADDRFAMILY: return "EAI_ADDRFAMILY";
    case EAI_AGAIN: return "EAI_AGAIN";
    case EAI_BADFLAGS: return "EAI_BADFLAGS";
    case EAI_FAIL: return "EAI_FAIL";
    case EAI_FAMILY: return "EAI_FAMILY";
    case EAI_SOCKTYPE: return "EAI_SOCKTYPE";
    case EAI_SERVICE: return "EAI_SERVICE";
    case EAI_SYSTEM: return "EAI_SYSTEM";
    case EAI_OVERFLOW: return "EAI_OVERFLOW";
    case EAI_IDN_ENCODE: return "EAI_IDN_ENCODE";
    }
    snprintf(text, sizeof text, "%d", code);
    return text;
}

static void get_address_info(char **words) {
    struct addrinfo hints = {0}, *list = (void *)1;
    bool none = !strcmp(words[2], "none");
    hints.ai_flags = none ? 0 : strtol(words[2], NULL, 0);
    hints.ai_family = atoi(words[3]);
    hints.ai_socktype = atoi(words[4]);
    hints.ai_protocol = atoi(words[5]);
    errno = 0;
    int code = getaddrinfo(word(words[0]), word(words[1]), none ? NULL : &hints, &list);
    printf("%s", eai(code));
    if (code == EAI_SYSTEM) printf(" %s", errno_name(errno));
    if (code) {
        printf("%s\n", list == (void *)1 ? "" : ", the result is changed");
        return;
    }
    for (struct addrinfo *one = list; one; one = one->ai_next) {
        const struct sockaddr_in *v4 = (void *)one->ai_addr;
        const struct sockaddr_in6 *v6 = (void *)one->ai_addr;
        const void *bytes = one->ai_family == AF_INET ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr;
        printf(" | %x %d %d %d %u %d %s %d", one->ai_flags, one->ai_family, one->ai_socktype, one->ai_protocol,
            one->ai_addrlen, one->ai_addr->sa_family, shown(one->ai_family, bytes), ntohs(v4->sin_port));
        if (one->ai_family == AF_INET6) printf(" %u", v6->sin6_scope_id);
        if (one->ai_canonname) printf(" \"%s\"", one->ai_canonname);
    }
    printf("\n");
    freeaddrinfo(list);
}

static void show_host(const struct hostent *host) {
    printf("name \"%s\" type %d length %d", host->h_name, host->h_addrtype, host->h_length);
    for (char **alias = host->h_aliases; *alias; alias++) printf(" alias \"%s\"", *alias);
    for (char **one = host->h_addr_list; *one; one++) printf(" %s", shown(host->h_addrtype, *one));
    printf("\n");
}

/* A static result, or that of an _r function; SIZE is the _r function's buffer. */
static void end_host(struct hostent *static_result, bool r, int code, struct hostent *result, int herrno) {
    if (r) printf("returns %s, ", errno_name(code));
    struct hostent *found = r ? result : static_result;
    if (found)
        show_host(found);
    else
        printf("h_errno %d%s%s\n", r ? herrno : h_errno, code || !r ? " errno " : "",
            code ? errno_name(errno) : "");
}

static void get_host(char **words) {
    const char *name = word(words[1]);
    int family = atoi(words[2]), herrno = 12345, code = 0, size = atoi(words[3]);
    struct hostent entry, *result = (void *)1, *host = NULL;
    char *space = malloc(size + 1);
    h_errno = 0;
    errno = 0;
    bool r = strstr(words[0], "_r");
    if (!strcmp(words[0], "gethostbyname")) host = gethostbyname(name);
    if (!strcmp(words[0], "gethostbyname2")) host = gethostbyname2(name, family);
    if (!strcmp(words[0], "gethostbyname_r")) code = gethostbyname_r(name, &entry, space, size, &result, &herrno);
    if (!strcmp(words[0], "gethostbyname2_r"))
        code = gethostbyname2_r(name, family, &entry, space, size, &result, &herrno);
    end_host(host, r, code, result, herrno);
    free(space);
}

static socklen_t address_of(const char *text, int family, void *bytes) {
    if (!strncmp(text, "of:", 3)) {
        struct hostent *host = gethostbyname2(text + 3, family);
        MUST(host);
        memcpy(bytes, host->h_addr_list[0], host->h_length);
        return host->h_length;
    }
    MUST(inet_pton(family, text, bytes) == 1);
    return family == AF_INET ? 4 : 16;
}

static void get_host_by_address(char **words) {
    unsigned char bytes[16] = {0};
    int family = atoi(words[2]), herrno = 12345, code = 0, size = atoi(words[3]);
    bool r = strstr(words[0], "_r");
    socklen_t length = address_of(words[1], family, bytes);
    struct hostent entry, *result = (void *)1, *host = NULL;
    char *space = malloc(size + 1);
    h_errno = 0;
    errno = 0;
    if (r)
        code = gethostbyaddr_r(bytes, length, family, &entry, space, size, &result, &herrno);
    else
        host = gethostbyaddr(bytes, length, family);
    end_host(host, r, code, result, herrno);
    free(space);
}

static void get_name_info(char **words) {
    struct sockaddr_storage address = {0};
    char *text = words[0];
    int family = strchr(text, '6') && !strchr(text, '.') ? AF_INET6 : strchr(text, ':') && strncmp(text, "of:", 3) ? AF_INET6 : AF_INET;
    if (!strcmp(text, "of:v6.test")) family = AF_INET6;
    socklen_t length = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    address.ss_family = family;
    if (!strcmp(text, "unix")) {
        address.ss_family = AF_UNIX;
        length = sizeof(struct sockaddr_un);
    } else if (!strcmp(text, "short")) {
        address.ss_family = AF_INET;
        length = 8;
    } else if (!strcmp(text, "foreign")) {
        address.ss_family = 77;
    } else {
        address_of(text, family, family == AF_INET ? (void *)&((struct sockaddr_in *)&address)->sin_addr
                                                  : (void *)&((struct sockaddr_in6 *)&address)->sin6_addr);
    }
    if (address.ss_family != AF_UNIX) ((struct sockaddr_in *)&address)->sin_port = htons(atoi(words[1]));
    char host[1100] = "?", service[100] = "?";
    int host_size = atoi(words[2]), service_size = atoi(words[3]);
    int code = getnameinfo((void *)&address, length, host_size < 0 ? NULL : host, host_size < 0 ? 0 : host_size,
        service_size < 0 ? NULL : service, service_size < 0 ? 0 : service_size, strtol(words[4], NULL, 0));
    /* A name too long for its buffer may be there in part. */
    if (code == EAI_OVERFLOW) strcpy(host, "-"), strcpy(service, "-");
    printf("%s \"%s\" \"%s\"\n", eai(code), !strcmp(text, "unix") ? "" : host, service);
}

static const char *record_data(const ns_rr *record, const unsigned char *answer, int length) {
    static char text[1100];
    const unsigned char *data = ns_rr_rdata(*record);
    switch ((int)ns_rr_type(*record)) {
    case ns_t_a: return shown(AF_INET, data);
    case ns_t_aaaa: return shown(AF_INET6, data);
    case ns_t_mx:
        snprintf(text, 16, "%d ", ns_get16(data));
        MUST(dn_expand(answer, answer + length, data + 2, text + strlen(text), 1024) >= 0);
        return text;
    case ns_t_cname:
    case ns_t_ptr: MUST(dn_expand(answer, answer + length, data, text, sizeof text) >= 0); return text;
    case ns_t_txt: snprintf(text, sizeof text, "%.*s", data[0] > 20 ? 20 : data[0], data + 1); return text;
    }
    snprintf(text, sizeof text, "%d bytes", ns_rr_rdlen(*record));
    return text;
}

static void show_answer(const unsigned char *answer, int length, int size) {
    ns_msg message;
    int have = length < size ? length : size;
    printf(" code %d tc %d", answer[3] & 15, answer[2] >> 1 & 1);
    if (ns_initparse(answer, have, &message) < 0) {
        printf(" (cut)\n");
        return;
    }
    /* A random one is 0 now and then, but not twice in a row. */
    static int without;
    without = ns_msg_id(message) ? 0 : without + 1;
    printf(" question %s", without > 1 ? "without id " : "");
    for (int i = 0; i < ns_msg_count(message, ns_s_an); i++) {
        ns_rr record;
        if (ns_parserr(&message, ns_s_an, i, &record) < 0) {
            printf(" (cut)");
            break;
        }
        printf(" | %s %d %s", ns_rr_name(record), ns_rr_type(record), record_data(&record, answer, have));
    }
    printf("\n");
}

static void query(char **words) {
    static struct __res_state own;
    const char *how = words[0], *name = word(words[1]), *domain = word(words[2]);
    int type = atoi(words[3]), size = atoi(words[4]), length = -2;
    unsigned char *answer = calloc(1, size + 1), question[512];
    int asked = res_mkquery(ns_o_query, name, ns_c_in, type, NULL, 0, NULL, question, sizeof question);
    if (!(own.options & RES_INIT)) MUST(res_ninit(&own) == 0);
    h_errno = 0;
    errno = 0;
    if (!strcmp(how, "res_query")) length = res_query(name, ns_c_in, type, answer, size);
    if (!strcmp(how, "res_search")) length = res_search(name, ns_c_in, type, answer, size);
    if (!strcmp(how, "res_querydomain")) length = res_querydomain(name, domain, ns_c_in, type, answer, size);
    if (!strcmp(how, "res_nquery")) length = res_nquery(&own, name, ns_c_in, type, answer, size);
    if (!strcmp(how, "res_nsearch")) length = res_nsearch(&own, name, ns_c_in, type, answer, size);
    if (!strcmp(how, "res_nquerydomain")) length = res_nquerydomain(&own, name, domain, ns_c_in, type, answer, size);
    if (!strcmp(how, "res_send")) length = res_send(question, asked, answer, size);
    if (!strcmp(how, "res_nsend")) length = res_nsend(&own, question, asked, answer, size);
    bool sent = strstr(how, "send");
    if (length < 0) {
        printf("%d h_errno %d\n", length, sent ? 0 : h_errno);
    } else {
        printf("%s%s", length > size ? "longer than the buffer" : "fits", sent && answer[0] == question[0] ? " own id" : "");
        show_answer(answer, length, size);
    }
    free(answer);
}

int main(void) {
    char line[4096], *words[8] = {0};
    setlocale(LC_ALL, "");
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        printf("%s: ", line);
        int count = 0;
        for (char *one = strtok(line, " "); one && count < 8; one = strtok(NULL, " ")) words[count++] = one;
        if (!strcmp(words[0], "gai")) get_address_info(words + 1);
        if (!strcmp(words[0], "host")) get_host(words + 1);
        if (!strcmp(words[0], "addr")) get_host_by_address(words + 1);
        if (!strcmp(words[0], "info")) get_name_info(words + 1);
        if (!strcmp(words[0], "res")) query(words + 1);
    }
    return 0;
}
