# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The parts of make check. What is quick and what most often breaks comes first;
# what builds kernels runs beside what boots them, since the emulator has one
# thread. Where nothing is cached, both lanes take about as long. Sourced by lab/check.

kernel=$build/linux
series=$build/series/kernel

# Begin a TAP document; try WHAT COMMAND... is a test in it, tried ends it. The exit
# status of a command in the middle of COMMAND does not count: join them by &&.
begin() { tests=0 bad=0; echo "TAP version 13"; }
try()
{
	local what=$1
	shift
	tests=$((tests + 1))
	if "$@"; then echo "ok $tests $what"; else echo "not ok $tests $what"; bad=1; fi
}
tried() { echo "1..$tests"; return "$bad"; }
# found_not PATTERN FILE...: the files are there, and no line of theirs is like that.
found_not()
{
	local status=0
	grep -niE -e "$@" || status=$?
	[ "$status" = 1 ]
}

licences()
{
	local file bad=0
	while read -r file; do
		case $file in COPYING|.gitignore|*/log-allowed|*/log-never|*/settings) continue ;; esac
		[[ $file == *.patch ]] || head -n 25 "$top/$file" | grep -q SPDX-License-Identifier ||
			{ echo "no licence line: $file"; bad=1; }
	done < <(git -C "$top" ls-files)
	return $bad
}

# Tree and repository say the same, in both directions.
roundtrip()
{
	local what
	rm -rf "$build/roundtrip" && mkdir "$build/roundtrip"
	cp -r "$top/patches" "$top/qemu" "$top/include" "$top/drivers" "$top/Documentation" \
		"$top/tools" "$build/roundtrip"
	for what in kernel qemu; do
		"$lab/tree" make $what
		"$lab/tree" refresh $what
	done
	for what in patches qemu include drivers Documentation tools; do
		diff -r "$build/roundtrip/$what" "$top/$what" || return 1
	done
	rm -rf "$build/roundtrip"
	# No file but those that a patch introduces, nor a second opinion on who maintains them.
	for what in kernel qemu; do
		(cd "$top/${what/kernel/.}" && git ls-files include drivers Documentation tools hw docs tests configs) |
			sort | comm -23 - <(git -C "$build/${what/kernel/linux}" diff --name-only --diff-filter=A base generated | sort)
	done | sed 's/$/: no patch introduces it/' | grep . && return 1
	sed -n '/^IOMMU USER API/,/^$/p' "$top/MAINTAINERS" |
		diff - <(git -C "$kernel" show generated:MAINTAINERS | sed -n '/^IOMMU USER API/,/^$/{/./p}')
}

# `git am` of the mails on the pristine source gives the same tree.
mails()
{
	local work=$build/linux-am
	"$lab/tree" mails kernel
	rm -rf "$work"
	git -C "$kernel" worktree prune
	git -C "$kernel" worktree add -q --no-checkout --detach "$work" base
	git -C "$kernel" diff --name-only base generated | sed 's,^,/,' |
		git -C "$work" sparse-checkout set --no-cone --stdin
	git -C "$work" checkout -q
	git -C "$work" am -q "$series"/*.patch
	git -C "$work" diff --stat generated --exit-code
	git -C "$kernel" worktree remove --force "$work"
}

# The shell scripts, with what they source
scripts()
{
	local -a files
	mapfile -t files < <(git -C "$top" grep -lE '^#!/bin/(ba|busybox )?sh' -- lab .ci)
	cd "$top"
	shellcheck -a -x -P SCRIPTDIR "${files[@]}"
}

# checkpatch does not know the macros of trace events. Headers for user space, frozen
# ones among them, have no BIT(). The system's own Python knows where codespell's
# dictionary is.
check_mail()
{
	awk '/^diff --git/ { skip = /-trace\.h$/ } !skip' "$1" | PATH=/usr/bin:$PATH \
		scripts/checkpatch.pl --strict --codespell --no-tree --quiet \
		--max-line-length=100 --ignore FILE_PATH_CHANGES,BIT_MACRO -
}

style()
{
	local bad=0
	"$lab/tree" mails kernel
	cd "$kernel"
	export -f check_mail
	# shellcheck disable=SC2016 # $1 is for the other bash
	printf '%s\0' "$series"/*.patch | xargs -0 -n 1 -P "$(nproc)" \
		bash -c 'check_mail "$1" || { echo "in $1"; exit 1; }' check || bad=1
	# Older warnings of files that the series only edits are not ours.
	git diff --name-only base generated --diff-filter=A | grep -E '\.[ch]$' | grep -v testing |
		xargs scripts/kernel-doc -none -Werror || bad=1
	return $bad
}

# What this script makes of a log and an exit status: no result is lost.
results()
{
	local nr=0 want status text out=$logs/results.out parts=$logs/results.parts
	local two=$'TAP version 13\n1..2\nok 1 a\nok 2 b\n'
	local -a samples=(
		"2 0 0|0|$two"
		"4 0 0|0|$two$two"
		"1 0 1|0|${two/%b?/b # SKIP why}"
		"0 0 1|4|TAP version 13"$'\n'"1..0 # SKIP why"
		# As GLib has it, without a version or with the plan last
		"2 0 0|0|# random seed"$'\n'"${two#*13?}"
		"2 0 0|0|TAP version 14"$'\n'"ok 1 a"$'\n'"ok 2 b"$'\n'"1..2"
		# As KUnit has it: what counts are the cases
		"2 0 0|0|KTAP version 1"$'\n'"1..1"$'\n'"    KTAP version 1"$'\n'"    # Subtest: s"$'\n'"    1..2"$'\n'"    ok 1 a"$'\n'"    ok 2 b"$'\n'"ok 1 s"
		"1 1 0|0|KTAP version 1"$'\n'"1..1"$'\n'"    KTAP version 1"$'\n'"    # Subtest: s"$'\n'"    1..2"$'\n'"    ok 1 a"$'\n'"ok 1 s"
		# Without TAP
		"1 0 0|0|text" "0 0 1|4|why"$'\n' "0 1 0|1|text" "1 0 0|0|"
		# Cut off: after 2 of 5, in the second document, before the first, before the plan
		"2 3 0|0|${two/1..2/1..5}"
		"3 1 0|0|$two${two%ok 2*}"
		"0 2 0|0|${two%ok 1*}"
		"0 1 0|0|TAP version 13"
		"2 1 0|1|$two"
		"2 1 0|124|$two"
		# No plan, a plan of nothing, more than planned, numbers twice, giving up
		"2 1 0|0|${two/1..2?/}"
		"0 1 0|0|TAP version 13"$'\n'"1..0"
		"2 1 0|0|${two}ok 3 c"
		"2 1 0|0|${two}not ok 3 c"
		"2 1 0|0|${two/ok 2/ok 1}"
		"2 1 0|0|${two}Bail out! why"
		"1 1 0|0|${two/ok 2/not ok 2}"
		"1 1 0|1|${two/ok 2/not ok 2}"
	)
	echo "1..${#samples[@]}"
	for text in "${samples[@]}"; do
		nr=$((nr + 1)) want=${text%%|*} text=${text#*|}
		status=${text%%|*} text=${text#*|}
		printf 'say() { printf %%s %q; return %s; }\nlane trees\npart results-sample sample say\n' \
			"$text" "$status" >"$parts"
		status=0
		LAB_PARTS=$parts "$lab/check" >"$out" || status=1
		# shellcheck disable=SC2086 # three numbers
		if [ "$(tail -n 1 "$out")" = "$(printf '%d passed, %d failed, %d skipped' $want)" ] &&
		   [ "$status" = "$([[ $want == *' 0 '* ]]; echo $?)" ]; then
			echo "ok $nr $want"
		else
			sed 's/^/# /' "$out"
			echo "not ok $nr not $want:"
			echo "# ${text//$'\n'/$'\n'# }"
		fi
	done
}

# layout TARGET: the layouts are what they were, and have no implicit holes.
layout()
{
	clang --target="$1" -nostdinc -ffreestanding -isystem "$build/programs/usr/include" \
		-isystem "$(clang -print-resource-dir)/include" \
		-Wall -Wpadded -Werror -fsyntax-only "$lab/layout.c"
}

# The layouts are the same for 32-bit and 64-bit callers, and what they were;
# numbers too, and no code in the header (R2, R25, R26).
layouts()
{
	local target
	begin
	for target in x86_64-linux-gnu i686-linux-gnu powerpc64-linux-gnu s390x-linux-gnu; do
		try "layouts and numbers on $target" layout $target
	done
	try "no inline function in the header" found_not inline "$top/include/uapi/linux/iommu.h"
	tried
}

# seen DIRECTORY FILE: writes to FILE what a program sees of the header below DIRECTORY:
# layouts, and numbers, which leave no trace in an object.
seen()
{
	local includes=(-I "$1" -isystem "$build/programs/usr/include")
	gcc -xc - -g -fno-eliminate-unused-debug-types "${includes[@]}" -c -o "$2.o" \
		<<<'#include <linux/iommu.h>' &&
		pahole "$2.o" >"$2" &&
		gcc -E -dM -xc "${includes[@]}" "$1/linux/iommu.h" | grep IOMMU_UAPI_ | sort >>"$2"
}

# The header against the frozen one of its version, and those that the kernel had before:
# nothing that a program was built with may have another size or place.
abi()
{
	local frozen objects=$build/abi past now header
	frozen=$top/tools/testing/selftests/iommu/uapi/corpus/v$(sed -n 's/^#define IOMMU_UAPI_VERSION\t.*_//p' \
		"$top/include/uapi/linux/iommu.h")
	mkdir -p "$objects"
	seen "$frozen" "$objects/frozen" && seen "$build/programs/usr/include" "$objects/current" &&
		diff "$objects/frozen" "$objects/current" || return 1

	# QEMU has copies of what the kernel installs.
	for header in iommu vfio; do
		cmp "$build/qemu/linux-headers/linux/$header.h" \
			"$build/programs/usr/include/linux/$header.h" || return 1
	done

	# The kernel's own check compares two commits: one that has the frozen header too,
	# and the series.
	past=$(GIT_INDEX_FILE=$objects/index; export GIT_INDEX_FILE
		cd "$kernel" && git read-tree base && git update-index --add --cacheinfo \
			"100644,$(git hash-object -w "$frozen/linux/iommu.h"),include/uapi/linux/iommu.h" &&
		git commit-tree -p base -m past "$(git write-tree)")
	now=$(git -C "$kernel" commit-tree -p "$past" -m now 'generated^{tree}')
	# It wants abidiff 2.4. That of Debian 12 finds the same here, but ends with a
	# signal where it finds something; the comparison above has shown it by then.
	cat >"$objects/abidiff" <<-'WRAPPER'
	#!/bin/sh
	[ "$1" != --version ] || { echo abidiff: 2.4; exit; }
	exec abidiff "$@"
	WRAPPER
	chmod +x "$objects/abidiff"
	cd "$kernel" && ABIDIFF=$objects/abidiff scripts/check-uapi.sh -b "$now" -p "$past"
}

# Kernels of another time with programs of each (R16, R21), and what must not build.
versions()
{
	local what file says edit source=$build/versions/linux objects=$build/versions/objects bad=0 nr=0
	"$lab/build" kernel version1
	"$lab/run" --version1 -- "$bindir/client_v1" || return 1
	"$lab/run" --version1 -- "$bindir/client_v2" || return 1
	"$lab/run" --version1 -- "$bindir/client_v2" insist | tee "$logs/insist.out" || return 1
	grep -q 'bind is refused: Operation not supported' "$logs/insist.out" || return 1

	"$lab/build" kernel version3
	"$lab/run" --version3 -- sh -c "$bindir/client_v1 && $bindir/client_v2" || return 1
	kunit --version3 || return 1

	git -C "$source" checkout -q -f .
	make -s -C "$source" O="$objects" drivers/iommu/iommu-uapi.o || return 1
	echo "TAP version 13"
	echo "1..$(grep -cE '\|[hci]\|' "$lab/versions/forbidden")"
	while IFS='|' read -r what file says edit; do
		case $file in
		h) file=include/uapi/linux/iommu.h ;;
		c) file=drivers/iommu/iommu-uapi.c ;;
		i) file=include/linux/iommu-uapi.h ;;
		*) continue ;;
		esac
		nr=$((nr + 1))
		sed -i -E "$edit" "$source/$file"
		if git -C "$source" diff --quiet; then
			echo "not ok $nr forbidden: $what (the edit finds nothing)"; bad=1
		elif make -s -C "$source" O="$objects" drivers/iommu/iommu-uapi.o >"$objects/forbidden" 2>&1; then
			echo "not ok $nr forbidden: $what (it builds)"; bad=1
		elif grep -qF "$says" "$objects/forbidden"; then
			echo "ok $nr forbidden: $what"
		else
			head -5 "$objects/forbidden"
			echo "not ok $nr forbidden: $what (not for that reason)"; bad=1
		fi
		git -C "$source" checkout -q -f .
	done <"$lab/versions/forbidden"
	return $bad
}

# The carrier must build against structures whose members have other names: then it
# can't have looked inside one.
opaque()
{
	local objects=$build/patched header=$build/opaque-iommu.h
	sed -E '/^#/! s/\b([a-z_]+)(\[12\]|\[2\])?;/hidden_\1\2;/' \
		"$kernel/include/uapi/linux/iommu.h" >"$header" &&
		grep -q 'hidden_gpgd;' "$header" &&
		touch "$kernel/drivers/vfio/nesting.c" &&
		make -s -C "$kernel" O="$objects" KCFLAGS="-include $header" drivers/vfio/nesting.o &&
		touch "$kernel/drivers/vfio/nesting.c"
}

# Who may know what (R1, R22, R28, R61)
layers()
{
	begin
	try "the carrier builds without the names of members" opaque
	# "a carrier (VFIO)" in a comment is fine.
	try "the core has no VFIO in it" found_not 'vfio([^)]|$)' "$top"/drivers/iommu/iommu-uapi*.[ch] \
		"$top/include/linux/iommu-uapi.h" "$top/drivers/iommu/intel/uapi.c"
	try "no driver and no carrier compares a version" found_not 'version *(>|<|==|!=)' \
		"$top/drivers/iommu/intel/uapi.c" "$top/drivers/vfio/nesting.c"
	try "a command is found in a table, not by a chain of comparisons" \
		found_not '(case|[!=]=) *VFIO_IOMMU_' "$top/drivers/vfio/nesting.c"
	tried
}

# each_variant on|off: build what lies in the work tree, and tell what it warns about
# that the source as it came doesn't.
each_variant()
{
	local work=$build/linux-each objects=$build/each-$1 commit=$2
	if [ ! -f "$objects/.config" ] || [ -n "$3" ]; then
		make -s -C "$work" O="$objects" KCONFIG_ALLCONFIG="$objects/lab.config" allnoconfig >/dev/null 2>&1
	fi
	make -s -C "$work" O="$objects" CC="$cc" W=1 C=1 drivers/iommu/ drivers/vfio/ >"$objects/log" 2>&1 ||
		{ cat "$objects/log"; return 1; }
	grep -E '(warning|error):' "$objects/log" | sed -E 's/:[0-9]+(:[0-9]+)?:/:/g' |
		sort -u >"$objects/warnings" || true
	if [ "$commit" = "$(git -C "$kernel" rev-parse base)" ]; then
		cp "$objects/warnings" "$objects/old-warnings"
	elif comm -13 "$objects/old-warnings" "$objects/warnings" | grep .; then
		echo "new warnings, above"
		return 1
	fi
}

# Each commit builds alone with the options on and off, without a warning that
# the source as it came doesn't give.
each()
{
	local work=$build/linux-each commit kconfig on
	use_ccache
	if [ ! -d "$work" ]; then
		git -C "$kernel" worktree prune
		git -C "$kernel" worktree add -q --detach "$work" base
	fi
	rm -rf "$build/each-on" "$build/each-off"
	mkdir "$build/each-on" "$build/each-off"
	cp "$build/patched/lab.config" "$build/each-on"
	sed '/IOMMU_UAPI\|VFIO_NESTING/d' "$build/patched/lab.config" >"$build/each-off/lab.config"
	for commit in $(git -C "$kernel" rev-list --reverse generated); do
		git -C "$work" checkout -q --detach "$commit"
		git -C "$work" log -1 --format=%s
		kconfig=$(git -C "$work" diff-tree --no-commit-id --name-only -r "$commit" | grep Kconfig || true)
		each_variant on "$commit" "$kconfig" &
		on=$!
		each_variant off "$commit" "$kconfig" || return 1
		wait $on || return 1
	done
}

docs()
{
	cd "$kernel"
	make -s O="$build/docs" SPHINXDIRS=userspace-api htmldocs >"$build/docs.log" 2>&1 ||
		{ tail -n 20 "$build/docs.log"; return 1; }
	! grep -E 'userspace-api/iommu(-[a-z]+)?\.rst|include/uapi/linux/iommu\.h' "$build/docs.log" ||
		return 1
	test -s "$build/docs/Documentation/output/userspace-api/iommu.html" ||
		test -s "$build/docs/Documentation/output/iommu.html"
}

emulator()
{
	cd "$build/qemu-bin"
	QTEST_QEMU_BINARY=./qemu-system-x86_64 "./$1" --tap -k
}

# QEMU in L1, as the VMM of a guest whose first stage is nested: without a guest's CPU,
# since the test writes tables, registers and the invalidation queue itself.
consumer()
{
	"$lab/run" "$@" -- env QTEST_QEMU_BINARY="$build/qemu-bin/qemu-system-x86_64" \
		"$lab/with-vfio" "$build/qemu-bin/intel-iommu-host-test" --tap -k
}

# What QEMU says of a host that lacks something.
launch()
{
	local bad=0
	"$lab/run" -- "$lab/with-vfio" "$lab/launch" full || bad=1
	"$lab/run" --iommu fs1gp=off -- "$lab/with-vfio" "$lab/launch" 1g || bad=1
	"$lab/run" --no-nesting -- "$lab/with-vfio" "$lab/launch" iommu || bad=1
	"$lab/build" kernel stock
	"$lab/run" --stock -- "$lab/with-vfio" "$lab/launch" kernel || bad=1
	return $bad
}

# A guest that boots: Linux with its own driver.
l2()
{
	"$lab/build" l2
	"$lab/run" --memory 1500M -- "$lab/with-vfio" "$lab/l2/check"
}

kunit()
{
	"$lab/run" "$@" -- sh -c 'modprobe iommu-uapi-kunit && cat /sys/kernel/debug/kunit/*/results'
}

# each_suite SUITES [OPTION...]: run them all in L1, in one boot
each_suite()
{
	local suites=$1
	shift
	echo "bad=0; for t in $suites; do $bindir/\$t $* || bad=1; done; exit \$bad"
}

# For a kernel that injects faults, and for a VT-d with few domain ids
elsewhere="-T fail_nth -T no_domain_id"

# The names of all programs with tests of nesting
suites() { make -s -C "$lab" list; }

# Where there is less hardware, what can't be tested is skipped, and nothing fails.
lacking()
{
	local nr=0 rig p f s status
	local -a rigs=("--devices no-pri" "--devices one"
		"--iommu x-page-requests=off,device-iotlb=off")
	echo "1..${#rigs[@]}"
	for rig in "${rigs[@]}"; do
		nr=$((nr + 1)) status=0
		# shellcheck disable=SC2086
		"$lab/run" $rig -- sh -c "$(each_suite "contract scope groups reset stale isolation" "$elsewhere" -T mdev)" >"$logs/lacking.$nr" 2>&1 || status=$?
		read -r p f s < <("$lab/results" "$logs/lacking.$nr" $status)
		if [ "$f" = 0 ] && [ "$p" -gt 0 ] && [ "$s" -gt 0 ]; then
			echo "ok $nr $rig: $p passed, $s skipped"
		else
			echo "not ok $nr $rig: $p passed, $f failed, $s skipped; log: build/check/lacking.$nr"
			grep -E '^(not ok|error:)' "$logs/lacking.$nr" | sed 's/^/# /'
		fi
	done
}

# enough PASSED FAILED SKIPPED: nothing has failed, and most was skipped.
enough() { [ "$2" = 0 ] && [ "$3" -gt 300 ]; }

# Here a skip is what must come, and no test of the host's own. The mediated device joins
# a group of its own making, which the kernel notes.
plain()
{
	local out=$logs/plain.out log=$logs/plain.kernel status=0 p f s
	"$lab/run" --no-nesting --log "$log" -- sh -c "$(each_suite "$(suites)" -T mdev)" >"$out" || status=$?
	read -r p f s < <("$lab/results" "$out" $status)
	begin
	try "what needs nesting is skipped, and nothing fails: $p, $f, $s" enough "$p" "$f" "$s"
	[ $bad = 0 ] || grep -E '^not ok' "$out" | sed 's/^/# /'
	# R9, R51: neither booting nor loading the modules nor asking says anything.
	try "nothing about nesting in the log of the boot" \
		found_not 'nest|pasid|iommu.uapi' "$log"
	sed '1,/Run \/init/d' "$log" >"$log.after"
	try "nothing about IOMMUs in the log after it" \
		found_not 'iommu|dmar|nest|pasid' "$log.after"
	tried
}

# What the operator's command says, and its exit status
caps()
{
	local bad=0
	"$lab/caps" copies || bad=1
	"$lab/run" -- "$lab/caps" full || bad=1
	"$lab/run" --no-nesting -- "$lab/with-vfio" "$lab/caps" plain || bad=1
	return $bad
}

# Two hosts that differ: what they have in common is a contract on either (R10), and what
# only the other has is missing, all of it and nothing else.
hosts()
{
	local caps=$bindir/iommu-caps device=0000:00:03.0 dir=$logs/hosts contract
	local -a one=(--iommu "x-pss=7,x-eafs=on")
	local -a two=(--iommu "x-page-requests=off,device-iotlb=off,x-fs5lp=off")
	mkdir -p "$dir"
	"$lab/run" "${one[@]}" -- "$lab/with-vfio" "$caps" --ask --json $device >"$dir/a" &&
		"$lab/run" "${two[@]}" -- "$lab/with-vfio" "$caps" --ask --json $device >"$dir/b" || return 1
	cd "$dir"
	"$caps" --compare a b >common && "$caps" --compare a a >all || return 1
	cat common
	# They differ in widths and page requests, and QEMU is told what both have.
	grep 'a has more: addr_width 57, features 0x20, bind_flags 0x2, vtd_flags 0x2, inv_dev_iotlb 0x7' common &&
		grep 'b has more: guest_pasid_bits 10' common &&
		grep 'QEMU: .*x-flts=on,pasid-bits=8$' common || return 1
	cd "$top"
	contract=$(sed -n 's/^contract: //p' "$dir/common")
	"$lab/run" "${one[@]}" -- "$lab/with-vfio" "$caps" --need "$contract" $device &&
		"$lab/run" "${two[@]}" -- sh -c "$lab/with-vfio $caps --need $contract $device && $bindir/bind -t five_levels &&
			! $caps --need $(sed -n 's/^contract: //p' "$dir/all") $device" >"$dir/lacks" || return 1
	cat "$dir/lacks"
	grep -qF "FAIL (missing: $(sed -n 's/^a has more: //p' "$dir/common"))" "$dir/lacks"
}

# With one more device, which has no PASIDs, and ATS without PRI.
groups()
{
	"$lab/run" --qemu -device --qemu pasid-testdev,addr=6,pasid-width=0,ats=on -- "$bindir/groups"
}

# A VT-d with 16 domain ids, two of which the driver keeps: PASIDs don't use them up.
# With seven devices more, all are in use before anything is bound.
few()
{
	local addr
	local -a more=()
	for addr in 7 8 9 a b c d; do more+=(--qemu -device --qemu "pasid-testdev,addr=$addr"); done
	"$lab/run" --iommu x-domain-bits=4 -- sh -c "$(each_suite "pasids scope isolation" "$elsewhere")" || return 1
	# The kernel says it once, without a backtrace.
	"$lab/run" --iommu x-domain-bits=4 "${more[@]}" -- "$bindir/pasids" -t no_domain_id
}

# Then on a VT-d that does not say which device has not answered an invalidation.
isolation()
{
	"$lab/run" -- "$bindir/isolation" -T fail_nth || return 1
	"$lab/run" --iommu x-itesid=off -- "$bindir/isolation" -T fail_nth -f silent
}

themes32()
{
	"$lab/run" --qemu -device --qemu pasid-testdev,addr=6,pasid-width=0,ats=on -- sh -c \
		"$(each_suite "states32 pasids32 scope32 groups32 promises32 reset32 stale32 isolation32" "$elsewhere")"
}

on_kernel()
{
	local name=$1
	shift
	"$lab/build" kernel "$name"
	"$lab/run" "--$name" --timeout 3600 -- "$@"
}

# Parts that did not run now may have left a log of another day.
requirements() { "$lab/proofs" "$outcome" "${names[@]}"; }

bindir=$build/programs

lane trees
part results "what lab/check makes of logs" results
part licences "every file names its licence" licences
part words "what the documents name is there, in the usual words" "$lab/words"
part roundtrip "patches and trees say the same" roundtrip
part mails "git am of the mails gives the same tree" mails
part style "checkpatch --strict, kernel-doc" style
part shellcheck "what ShellCheck says of the scripts" scripts
part layouts "32-bit and 64-bit callers see the same" layouts
part layers "who looks into which structure" layers

lane build
part oracle "unpatched 6.12 drives the same rig through iommufd" \
	on_kernel stock "$bindir/oracle" -V cached
part versions "kernels and programs of different times" versions
part both "what the fixes do for IOMMUFD" on_kernel both "$bindir/oracle" -v cached
part launch "QEMU names what a host lacks" launch
part bench "what the calls cost, against IOMMUFD and the unpatched kernel" "$lab/bench" --short
part each "each commit builds alone, options on and off" each
part abi "what programs were built with stays as it was" abi
part docs "the documentation builds without a warning" docs

lane boot
part emulator "the emulated VT-d, by its specification" emulator intel-iommu-nested-test
part pagereq "its page requests, by its specification" emulator intel-iommu-prq-test
part testdev "the test endpoint" emulator pasid-testdev-test
part consumer "QEMU binds, invalidates and serves page requests" consumer
part l2 "a Linux guest drives the device through QEMU's vIOMMU" l2
part demo "the story of a launch" "$lab/demo"
part kunit "table, copy and checks, in the kernel" kunit
part selftest "every ioctl, on the nesting rig" "$lab/run" -- sh -c "$(each_suite "query bind invalidate lifetime")"
part selftest32 "the same as a 32-bit program" "$lab/run" -- sh -c "$(each_suite "query32 bind32 invalidate32 lifetime32")"
part contract "what a VMM was promised" "$lab/run" -- "$bindir/contract"
part contract32 "the same as a 32-bit program" "$lab/run" -- "$bindir/contract32"
part requests "page requests, from the device and back" "$lab/run" -- sh -c "$(each_suite "page_request request_lifetime")"
part requests32 "the same as a 32-bit program" "$lab/run" -- sh -c "$(each_suite "page_request32 request_lifetime32")"
part states "what requests translate by, and every way from one state to another" "$lab/run" -- "$bindir/states" -T fail_nth
part pasids "PASIDs that the guest picks, and those of the host" "$lab/run" -- "$bindir/pasids" -T fail_nth -T no_domain_id
part few "few domain ids are enough, and what happens when there are none" few
part scope "which bindings an invalidation is for" "$lab/run" -- "$bindir/scope"
part stale "random invalidations: what is named is fresh, and the rest left alone" "$lab/run" -- "$bindir/stale"
part isolation "what a device, a container or a process can do to others" isolation
part groups "what each group can do, and devices that differ" groups
part promises "every contract that is made can be kept" "$lab/run" -- "$bindir/promises"
part reset "resets, time limits, DMA faults" "$lab/run" -- "$bindir/reset"
part themes32 "the last eight as 32-bit programs" themes32
part clients "programs of each version" "$lab/run" -- sh -c "$bindir/client_v1 && $bindir/client_v2 insist"
part hosts "two hosts, and what they have in common" hosts
part lacking "rigs with less: skipped with a reason, nothing fails" lacking
part plain "without nesting: skipped with a reason, nothing new in the log" plain
part example "the example of the documentation" "$lab/run" -- "$bindir/example"
part caps "what iommu-caps says of a host, and its exit status" caps
part debug "every ioctl under lockdep, every allocation failing once" \
	on_kernel debug sh -c "$(each_suite "query bind invalidate lifetime fail_nth contract page_request \
		request_lifetime states pasids scope reset isolation" -T no_domain_id)"
part trace "trace events, read as the documentation says" on_kernel debug "$lab/trace"

lane last
part requirements "each requirement has a proof, and the proof ran" requirements
