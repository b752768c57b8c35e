// A call that fails with -1 and an errno.
#pragma once

#include <cerrno>

#define CHECK_ERROR(call, error) \
  do {                           \
    errno = 0;                   \
    CHECK((call) == -1);         \
    CHECK(errno == (error));     \
  } while (false)
