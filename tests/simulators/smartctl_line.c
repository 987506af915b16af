/* Stands in for the kernel under smartctl: what it would send to a drive goes to a simulated one.
 *
 * RASURA_SIM_FD is a SOCK_SEQPACKET socket. A request is struct request and the data going out; its
 * answer is struct reply and the data coming in. RASURA_SIM_PATH is the device node that is made up.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <linux/nvme_ioctl.h>
#include <scsi/sg.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct request {
    uint32_t nvme;
    uint32_t data_in_bytes;
    uint32_t data_out_bytes;
    uint32_t command_bytes;
    uint8_t command[72];
};

struct reply {
    uint32_t status;
    uint32_t result;
    uint32_t sense_bytes;
    uint32_t data_bytes;
    uint8_t sense[64];
};

static int line(void)
{
    const char *number = getenv("RASURA_SIM_FD");
    return number ? atoi(number) : -1;
}

static int exchange(struct request *request, void *out, struct reply *reply, void *in)
{
    struct iovec going[2] = {{request, sizeof *request}, {out, request->data_out_bytes}};
    struct iovec coming[2] = {{reply, sizeof *reply}, {in, request->data_in_bytes}};

    if (writev(line(), going, request->data_out_bytes ? 2 : 1) < 0)
        return -1;
    return readv(line(), coming, request->data_in_bytes ? 2 : 1) < (ssize_t)sizeof *reply ? -1 : 0;
}

static int sg_io(struct sg_io_hdr *io)
{
    struct request request = {0};
    struct reply reply = {0};
    int outwards = io->dxfer_direction == SG_DXFER_TO_DEV;

    request.command_bytes = io->cmd_len;
    memcpy(request.command, io->cmdp, io->cmd_len);
    request.data_out_bytes = outwards ? io->dxfer_len : 0;
    request.data_in_bytes = io->dxfer_direction == SG_DXFER_FROM_DEV ? io->dxfer_len : 0;
    if (exchange(&request, io->dxferp, &reply, io->dxferp)) {
        errno = EIO;
        return -1;
    }
    io->status = reply.status;
    io->masked_status = reply.status >> 1 & 0x1f;
    io->host_status = 0;
    io->driver_status = reply.sense_bytes ? 8 : 0;
    io->sb_len_wr = reply.sense_bytes < io->mx_sb_len ? reply.sense_bytes : io->mx_sb_len;
    if (io->sbp)
        memcpy(io->sbp, reply.sense, io->sb_len_wr);
    io->resid = request.data_in_bytes ? (int)(request.data_in_bytes - reply.data_bytes) : 0;
    io->info = io->status || io->resid ? SG_INFO_CHECK : SG_INFO_OK;
    io->duration = 1;
    return 0;
}

static int nvme_admin(struct nvme_passthru_cmd *command)
{
    struct request request = {0};
    struct reply reply = {0};
    void *data = (void *)(uintptr_t)command->addr;
    int outwards = command->opcode & 1;

    request.nvme = 1;
    request.command_bytes = sizeof *command;
    memcpy(request.command, command, sizeof *command);
    request.data_out_bytes = outwards ? command->data_len : 0;
    request.data_in_bytes = command->opcode & 2 ? command->data_len : 0;
    if (exchange(&request, data, &reply, data)) {
        errno = EIO;
        return -1;
    }
    command->result = reply.result;
    return reply.status;
}

int ioctl(int fd, unsigned long request, ...)
{
    static int (*real)(int, unsigned long, ...);
    va_list arguments;
    void *argument;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    if (line() >= 0 && request == SG_IO)
        return sg_io(argument);
    if (line() >= 0 && request == NVME_IOCTL_ADMIN_CMD)
        return nvme_admin(argument);
    if (!real)
        real = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    return real(fd, request, argument);
}

static int opened(const char *name, const char *path, int flags, mode_t mode)
{
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);
    const char *made_up = getenv("RASURA_SIM_PATH");

    if (made_up && strcmp(path, made_up) == 0)
        return real("/dev/null", O_RDWR | (flags & O_CLOEXEC));
    return real(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    mode_t mode;

    va_start(arguments, flags);
    mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return opened("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list arguments;
    mode_t mode;

    va_start(arguments, flags);
    mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return opened("open64", path, flags, mode);
}

/* What open becomes in a program that was built with _FORTIFY_SOURCE. */
int __open_2(const char *path, int flags)
{
    return opened("open", path, flags, 0);
}
