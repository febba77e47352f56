/* What this machine can do at best: one file from an HTTP server into one file, by ranges, in C.
 *
 *   limit recv|splice|drop|tls[+sha256] THREADS HOST PORT PATH TARGET
 *
 * Each thread has a connection of its own and takes the next span until none is left. "recv" copies from the socket
 * into one buffer that stays warm, and from there into the file; "splice" moves pages through a pipe (splice(2));
 * "drop" receives and throws away, which shows what writing costs; "tls" is "recv" through OpenSSL, which reads ahead
 * (compile with -DTLS -lssl -lcrypto). With "+sha256" another thread follows behind them and prints the digest, which is
 * what a downloader that verifies has to do as well. Nothing else is verified, retried, or remembered: no downloader that keeps what it got
 * can be faster than the best of these on the same machine.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef TLS
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <sys/mman.h>
#endif

enum { SPAN = 16 << 20, BLOCK = 1 << 18, HEAD = 1 << 14 };

static struct sockaddr_in server = {.sin_family = AF_INET};
static const char *mode, *host, *path;
static int file;
static long long total;
static atomic_llong next_start;

/* Spans that are there; who waits for one hears of each. */
static unsigned char *is_there;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t one_more = PTHREAD_COND_INITIALIZER;

static void note(off_t start)
{
    pthread_mutex_lock(&lock);
    is_there[start / SPAN] = 1;
    pthread_cond_signal(&one_more);
    pthread_mutex_unlock(&lock);
}

struct wire {
    int fd;
#ifdef TLS
    SSL *tls; /* NULL without */
#endif
};

/* Some bytes, at most so many; 0 or less at an end. */
static ssize_t take(struct wire *wire, char *buffer, size_t length)
{
#ifdef TLS
    if (wire->tls) {
        size_t filled = 0;
        while (filled < length) { /* a record a call */
            int got = SSL_read(wire->tls, buffer + filled, length - filled);
            if (got <= 0)
                break;
            filled += got;
        }
        return filled;
    }
#endif
    return recv(wire->fd, buffer, length, 0);
}

static ssize_t take_head(struct wire *wire, char *buffer, size_t length)
{
#ifdef TLS
    if (wire->tls)
        return SSL_read(wire->tls, buffer, length);
#endif
    return recv(wire->fd, buffer, length, 0);
}

static ssize_t give(struct wire *wire, const char *data, size_t length)
{
#ifdef TLS
    if (wire->tls)
        return SSL_write(wire->tls, data, length);
#endif
    return send(wire->fd, data, length, 0);
}

static void put(const char *data, size_t length, off_t offset)
{
    while (length && mode[0] != 'd') {
        ssize_t written = pwrite(file, data, length, offset);
        if (written <= 0)
            err(1, "write");
        data += written, offset += written, length -= written;
    }
}

/* Ask for [start, stop) and read up to the body; what came with the head is written. Returns where the rest belongs. */
static off_t begin(struct wire *wire, char *buffer, off_t start, off_t stop)
{
    int length = snprintf(buffer, HEAD, "GET %s HTTP/1.1\r\nHost: %s\r\nRange: bytes=%lld-%lld\r\n\r\n", path, host,
                          (long long)start, (long long)stop - 1);
    if (give(wire, buffer, length) != length)
        err(1, "send");
    char *body = NULL;
    for (length = 0; !body; body = memmem(buffer, length, "\r\n\r\n", 4)) {
        ssize_t got = take_head(wire, buffer + length, HEAD - 1 - length);
        if (got <= 0)
            err(1, "the answer's head");
        buffer[length += got] = 0;
    }
    char *range = strcasestr(buffer, "\ncontent-range:");
    if (!range || sscanf(range, "%*[^/]/%lld", &total) != 1)
        errx(1, "no partial content: %.32s", buffer);
    size_t extra = buffer + length - (body + 4);
    put(body + 4, extra, start);
    return start + extra;
}

static void copy(struct wire *wire, char *buffer, off_t at, off_t stop)
{
    while (at < stop) {
        ssize_t got = take(wire, buffer, stop - at < BLOCK ? stop - at : BLOCK);
        if (got <= 0)
            err(1, "recv");
        put(buffer, got, at);
        at += got;
    }
}

static void move(int wire, const int *ends, off_t at, off_t stop)
{
    while (at < stop) {
        ssize_t got = splice(wire, NULL, ends[1], NULL, stop - at < BLOCK ? stop - at : BLOCK, SPLICE_F_MOVE);
        if (got <= 0)
            err(1, "splice from the socket");
        while (got) {
            ssize_t put = splice(ends[0], NULL, file, &at, got, SPLICE_F_MOVE);
            if (put <= 0)
                err(1, "splice into the file");
            got -= put;
        }
    }
}

static struct wire dial(void)
{
    struct wire wire = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    if (wire.fd < 0 || connect(wire.fd, (struct sockaddr *)&server, sizeof server))
        err(1, "connect");
    if (mode[0] == 't') {
#ifdef TLS
        SSL_CTX *context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_read_ahead(context, 1);
        SSL_CTX_set_default_read_buffer_len(context, 1 << 17);
        wire.tls = SSL_new(context);
        SSL_set_fd(wire.tls, wire.fd);
        if (SSL_connect(wire.tls) != 1)
            errx(1, "no TLS");
#else
        errx(2, "compiled without TLS");
#endif
    }
    return wire;
}

static void *fetch(void *unused)
{
    char *buffer = malloc(BLOCK);
    int ends[2];
    struct wire wire = dial();
    if (!buffer || pipe(ends))
        err(1, "buffers");
    fcntl(ends[1], F_SETPIPE_SZ, BLOCK);
    for (off_t start; (start = atomic_fetch_add(&next_start, SPAN)) < total;) {
        off_t stop = start + SPAN < total ? start + SPAN : total, at = begin(&wire, buffer, start, stop);
        if (mode[0] == 's')
            move(wire.fd, ends, at, stop);
        else
            copy(&wire, buffer, at, stop);
        note(start);
    }
    return unused;
}

static void *follow(void *unused)
{
#ifdef TLS
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length;
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
    for (off_t start = 0; start < total; start += SPAN) {
        pthread_mutex_lock(&lock);
        while (!is_there[start / SPAN])
            pthread_cond_wait(&one_more, &lock);
        pthread_mutex_unlock(&lock);
        size_t size = start + SPAN < total ? SPAN : total - start;
        void *pages = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, file, start);
        if (pages == MAP_FAILED)
            err(1, "mmap");
        EVP_DigestUpdate(hash, pages, size);
        munmap(pages, size);
    }
    EVP_DigestFinal_ex(hash, digest, &length);
    for (unsigned i = 0; i < length; i++)
        printf("%02x", digest[i]);
    puts("");
#else
    errx(2, "compiled without OpenSSL");
#endif
    return unused;
}

int main(int count, char **words)
{
    char head[HEAD];
    if (count != 7)
        errx(2, "usage: limit recv|splice|drop|tls[+sha256] THREADS HOST PORT PATH TARGET");
    mode = words[1], host = words[3], path = words[5];
    server.sin_port = htons(atoi(words[4]));
    if (inet_pton(AF_INET, host, &server.sin_addr) != 1)
        errx(2, "%s is no IPv4 address", host);
    file = open(words[6], O_RDWR | O_CREAT | O_TRUNC, 0666);
    if (file < 0)
        err(1, "%s", words[6]);
    struct wire wire = dial();
    begin(&wire, head, 0, 1);
    close(wire.fd);
    if (ftruncate(file, total))
        err(1, "%s", words[6]);
    int threads = atoi(words[2]);
    pthread_t thread[threads + 1];
    is_there = calloc(total / SPAN + 1, 1);
    if (!is_there)
        err(1, "calloc");
    for (int i = 0; i < threads; i++)
        if (pthread_create(&thread[i], NULL, fetch, NULL))
            errx(1, "no thread");
    if (strstr(mode, "+sha256"))
        pthread_create(&thread[threads++], NULL, follow, NULL);
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    return 0;
}
