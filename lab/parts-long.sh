# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The parts of make check-long: what takes too long for each change. As parts.sh.

parts=$lab/parts
# Without what takes away the file system of L1
suites=$(make -s --no-print-directory -C "$lab" list | sed "s/ suspend//")

# One lane, since each part builds a kernel.
lane build
part kunittool "kunit.py builds and runs the KUnit tests" "$parts/kunittool"
part b4 "b4 prep --check of the series for 7.3, where b4 has it" env BASE=7.3 "$parts/b4"
part sanitized "QEMU's tests under ASan and UBSan" "$parts/sanitized"
part iommufd "IOMMUFD's and VFIO's own tests pass and fail as on the unpatched kernel" env BASE=7.3 "$parts/iommufd"
part plain-qemu "an unmodified QEMU gives a guest a device, as on the unpatched kernel" "$parts/plain-qemu"
part fuzz-long "a million random calls, a thousand kills" "$parts/fuzz-long"
part each "each commit builds alone, options on and off" "$parts/each"
part each-newest "the same on 7.3" env BASE=7.3 "$parts/each"
part traps "what compiles on 7.3 and is wrong makes a test fail" env BASE=7.3 "$parts/traps"
part kasan "all suites under KASAN, UBSAN, lockdep and kmemleak" \
	"$lab/run" --kasan --build --timeout 7200 -- "$lab/suites" "$suites" -T no_domain_id
# All that several threads, processes or VMMs do at a time
part delays "what runs at the same time, with delays at random, under KASAN" "$parts/delays"
part kexec "kexec while tables are bound" "$parts/kexec"
part kcsan "what runs at the same time, under KCSAN" "$lab/run" --kcsan --build --parallel --timeout 7200 -- \
	"$lab/suites" "lifetime request_lifetime reset isolation user_memory dma_fault fuzz" -T fail_nth
part coverage "which lines and branches no suite runs" "$lab/coverage"
part soak "guests and programs that come and go, for ten minutes" "$lab/soak" 10
