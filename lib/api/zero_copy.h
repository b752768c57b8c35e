// Zero copy: see the ownership rules in <sluice/sluice.h>.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>

struct sluice_zc_buffer;
struct sluice_zc_datagram;

namespace sluice::api {

int ZeroCopyAllocate(sluice_zc_buffer* buffer);
void ZeroCopyFree(sluice_zc_buffer* buffer);
ssize_t ZeroCopySend(int fd, sluice_zc_buffer* buffer, size_t offset, size_t length, int flags);
ssize_t ZeroCopyReceive(int fd, iovec* pieces, int maximum, int* used, int flags);
int ZeroCopyRelease(int fd, size_t count);
// zero_copy_datagram.cc
int ZeroCopyReceiveDatagrams(int fd, sluice_zc_datagram* datagrams, unsigned maximum, int flags);
int ZeroCopySettleDatagrams(int fd, const sluice_zc_datagram* datagrams, unsigned count, int flags);

}  // namespace sluice::api
