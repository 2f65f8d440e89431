# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The parts of make check: name, title, command. What is more than one command is a
# program in lab/parts, which can also be started alone. What is quick and what most
# often breaks comes first; what builds kernels runs beside what boots them, since the
# emulator has one thread. Where nothing is cached, both lanes take about as long.
# Sourced by lab/check.

parts=$lab/parts
bindir=$build/programs
qemu=$common/qemu-bin
qtest=(env QTEST_QEMU_BINARY="$qemu/qemu-system-x86_64")
# Suites on the newest base, as programs that were built for 6.12. The 64-bit programs run
# there and most of them on the debug kernel of 6.12, the 32-bit ones on 6.12: so each base
# has each suite, and none runs more often for that.
newest=7.3
on_newest=(env BASE="$newest" "$lab/run" --build --timeout 3600 -- env BASE= "$lab/suites")

# These two lanes run side by side and before the others, since some of their parts write to
# the trees. What reads mails is in one lane, since each part writes them anew.
lane trees
part results "what lab/check makes of logs" "$parts/results"
part licences "every file names its licence" "$parts/licences"
part words "what the documents name is there, in the usual words" "$lab/words"
part roundtrip "patches and trees say the same" "$parts/roundtrip"
part layers "who looks into which structure" "$parts/layers"
lane newest-tree
part roundtrip-newest "the same for $newest" env BASE="$newest" "$parts/roundtrip"
part shellcheck "what ShellCheck says of the scripts" "$parts/shellcheck"
part layouts "32-bit and 64-bit callers see the same" "$parts/layouts"

lane build
part reference "unpatched 6.12 drives the same rig through iommufd" \
	"$lab/run" --stock --build --timeout 3600 -- "$bindir/reference" -V cached
part newest "the demo on $newest, and programs built for it on 6.12" "$parts/newest" $newest
part versions "kernels and programs of different times" "$parts/versions"
part both "what the fixes do for IOMMUFD" "$lab/run" --both --build --timeout 3600 -- "$bindir/reference" -v cached
part launch "QEMU names what a host lacks" "$parts/launch"
part bench "what the calls cost, against IOMMUFD and the unpatched kernel" "$lab/bench" --short
# So that the other lane need not wait for it
part debug-kernel "the kernel with lockdep and fault injection builds" "$lab/build" kernel debug
part mails "git am of the mails gives the same tree" "$parts/mails"
part mails-newest "the same for $newest" env BASE="$newest" "$parts/mails"
part style "checkpatch --strict, kernel-doc" "$parts/style"
part style-newest "the same for $newest, where its mails differ" env BASE="$newest" "$parts/style"
part each "each commit builds alone with the options on, and the whole series with them off" "$parts/each" on
part each-newest "the whole series builds on $newest, options on and off" env BASE="$newest" "$parts/each" last
part abi "what programs were built with stays as it was" "$parts/abi"
part docs "the documentation builds without a warning" "$parts/docs"

lane boot
part emulator "the emulated VT-d, by its specification" "${qtest[@]}" "$qemu/intel-iommu-nested-test" --tap -k
part pagereq "its page requests, by its specification" "${qtest[@]}" "$qemu/intel-iommu-prq-test" --tap -k
part testdev "the test endpoint" "${qtest[@]}" "$qemu/pasid-testdev-test" --tap -k
# QEMU in L1, as the VMM of a guest whose first stage is nested: without a guest's CPU,
# since the test writes tables, registers and the invalidation queue itself.
part consumer "QEMU binds, invalidates and serves page requests" \
	"$lab/run" -- "${qtest[@]}" "$lab/with-vfio" "$qemu/intel-iommu-host-test" --tap -k
part run "what lab/run prints for a shell, and for gdb" "$parts/run"
part demo "the story of a launch" "$lab/demo"
part kunit "table, copy and checks, in the kernel" "$parts/kunit"
part selftest32 "every ioctl, from 32-bit programs" "$lab/run" -- "$lab/suites" "query32 bind32 invalidate32 lifetime32"
part contract32 "what a VMM was promised, from a 32-bit program" "$lab/run" -- "$bindir/contract32"
part requests32 "page requests, from 32-bit programs" "$lab/run" -- "$lab/suites" "page_request32 request_lifetime32"
part few "few domain ids are enough, and what happens when there are none" "$parts/few"
# As a 64-bit program, under lockdep below
part fuzz "random calls of two VMMs, and what is left of them" "$lab/run" -- "$bindir/fuzz32"
part fuzz-qemu "a guest that writes at random to its virtual IOMMU, for a minute" "$lab/fuzz-qemu"
part l2 "a Linux guest drives the device through QEMU's vIOMMU" "$parts/l2"
part isolation "what a device, a container or a process can do to others" "$parts/isolation"
# With one more device, which has no PASIDs, and ATS without PRI
part groups "what each group can do, and devices that differ" \
	"$lab/run" --qemu -device --qemu pasid-testdev,addr=6,pasid-width=0,ats=on -- "$bindir/groups"
part themes32 "the suites from states on as 32-bit programs" "$parts/themes32"
part clients "programs of each version" "$lab/run" -- sh -c "$bindir/client_v1 && $bindir/client_v2 insist"
part hosts "two hosts, and what they have in common" "$parts/hosts"
part lacking "rigs with less: skipped with a reason, nothing fails" "$parts/lacking"
part plain "without nesting: skipped with a reason, nothing new in the log" "$parts/plain"
part example "the example of the documentation" "$lab/run" -- "$bindir/example"
part compare "five ways to copy a structure, and what the documentation says of them" "$lab/compare" --check
part kselftest "as KernelCI and LAVA build and run the selftests" "$parts/kselftest"
part caps "what iommu-caps says of a host, and its exit status" "$parts/caps"
# These boot the kernel of the newest base, which the other lane has built by now.
part kunit-newest "on $newest: table, copy and checks, in the kernel" env BASE="$newest" "$parts/kunit" --build
part selftest "on $newest: every ioctl" "${on_newest[@]}" "query bind invalidate lifetime"
part contract "on $newest: what a VMM was promised" "${on_newest[@]}" contract
part requests "on $newest: page requests, from the device and back" "${on_newest[@]}" "page_request request_lifetime"
part states "on $newest: what requests translate by, and every way from one state to another" "${on_newest[@]}" states -T fail_nth
part pasids "on $newest: PASIDs that the guest picks, and those of the host" "${on_newest[@]}" pasids -T fail_nth -T no_domain_id
part scope "on $newest: which bindings an invalidation is for" "${on_newest[@]}" scope
part stale "on $newest: random invalidations: what is named is fresh, and the rest left alone" "${on_newest[@]}" stale
part promises "on $newest: every contract that is made can be kept" "${on_newest[@]}" promises
part reset "on $newest: resets, time limits, DMA faults" "${on_newest[@]}" "reset dma_fault"
part debug "every ioctl under lockdep, every allocation failing once" \
	"$lab/run" --debug --build --timeout 3600 -- "$lab/suites" "query bind invalidate lifetime fail_nth contract \
		page_request request_lifetime states pasids scope reset dma_fault isolation user_memory privilege fuzz" -T no_domain_id
# The file system of L1 does not come back: the program has to be in memory, and no shell
# can go on after it.
part suspend "suspend to RAM, with a binding" "$lab/run" --debug --build -- \
	sh -c "cp $bindir/suspend /run && exec /run/suspend"
part trace "trace events, read as the documentation says" "$lab/run" --debug --build --timeout 3600 -- "$lab/trace"

lane last
# Only logs of the parts that have run now count: others may be of another day.
part requirements "each requirement has a proof, and the proof ran" "$lab/proofs" "$outcome" "${names[@]}"
