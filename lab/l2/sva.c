// SPDX-License-Identifier: GPL-2.0
/*
 * A guest's program, whose memory the test device reads and writes by the program's
 * own addresses. The first access of the device to a page is a page request, which
 * goes from the device to the host, to the VMM and to the guest, and back.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "testdev_drv.h"

static int bad;

static void check(const char *what, int ok)
{
	printf("sva: %s: %s\n", what, ok ? "ok" : "not ok");
	bad |= !ok;
}

static void *page(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
}

static int testdev(void)
{
	int fd = open("/dev/testdev", O_RDWR);

	if (fd < 0) {
		printf("sva: /dev/testdev: %s: not ok\n", strerror(errno));
		exit(1);
	}
	return fd;
}

/* A process ends while the device waits for its pages. */
static void killed(void)
{
	pid_t pid = fork();
	int fd, status;

	if (!pid) {
		fd = testdev();
		for (;;)
			ioctl(fd, TESTDEV_ATS_READ, page());
	}
	sleep(1);
	kill(pid, SIGKILL);
	check("a process that is killed", waitpid(pid, &status, 0) == pid &&
	      WIFSIGNALED(status));
}

int main(void)
{
	volatile unsigned long *from, *to, got = 0;
	int fd;

	killed();
	fd = testdev();
	from = malloc(4096);
	*from = 0x0fedcba987654321;
	/* No page is there yet. */
	to = page();
	check("the device reads", ioctl(fd, TESTDEV_ATS_READ, from) == TESTDEV_DONE);
	ioctl(fd, TESTDEV_GET, &got);
	check("what the program wrote", got == *from);
	check("the device writes a page that isn't there",
	      ioctl(fd, TESTDEV_ATS_WRITE, to) == TESTDEV_DONE);
	check("what the program reads", *to == *from);
	to = page();
	munmap((void *)to, 4096);
	check("an address of nothing",
	      ioctl(fd, TESTDEV_ATS_READ, to) == TESTDEV_INVALID);
	/* Exit with the file open: the kernel unbinds. */
	return bad;
}
