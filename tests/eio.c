// Preloaded: every asynchronous write ends with EIO as long as the file $EIO_FILE exists.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/aio_abi.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

long syscall(long number, ...) {
  static long (*real)(long, ...);
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "syscall");
  va_list list;
  long a[6];
  va_start(list, number);
  for (int i = 0; i < 6; ++i) a[i] = va_arg(list, long);
  va_end(list);
  const long result = real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  if (number == SYS_io_getevents && result > 0 && access(getenv("EIO_FILE"), F_OK) == 0) {
    struct io_event* events = (struct io_event*)a[3];
    for (long i = 0; i < result; ++i) events[i].res = -EIO;
  }
  return result;
}
