# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced by every script here: paths and messages. Not every script uses all of it.
# shellcheck disable=SC2034

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
lab=$top/lab
# What is built once for all bases (QEMU) is in $common.
base=${BASE:-6.12}
common=$top/build
build=$common
[ "$base" = 6.12 ] || build=$common/$base
# Shared by all clones. It only saves time.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/iommu-uapi
# What the scripts read of apt, gcc and git must not depend on the user's settings. The
# kernel's Makefile takes LC_ALL out of the environment, and LANGUAGE comes before all.
export LC_ALL=C.UTF-8 LANG=C.UTF-8
unset LC_MESSAGES LANGUAGE
export GIT_CONFIG_GLOBAL=$lab/gitconfig GIT_CONFIG_NOSYSTEM=1

say() { printf '==> %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

as_root()
{
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# processes PID: it and all that descend from it
processes()
{
	local child
	echo "$1"
	grep -lsx "PPid:[[:space:]]$1" /proc/[0-9]*/status | cut -d / -f 3 |
		while read -r child; do processes "$child"; done
}

# progress NAME LOG COMMAND...: run COMMAND with its output in LOG, and show its
# progress. On failure, show the end of the log, and $hint.
progress()
{
	local name=$1 log=$2 start=$SECONDS pid lines t last=0 every=15 traps
	shift 2
	[ -t 1 ] && every=1
	mkdir -p "$(dirname "$log")"
	"$@" </dev/null >"$log" 2>&1 &
	pid=$!
	# Ctrl-C doesn't end what runs in the background.
	traps=$(trap -p INT TERM)
	# shellcheck disable=SC2046 # several
	trap 'kill $(processes "$pid") 2>/dev/null || true; exit 130' INT TERM
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.3
		t=$((SECONDS - start))
		[ $((t - last)) -ge "$every" ] || continue
		last=$t
		lines=$(wc -l <"$log")
		if [ -t 1 ]; then
			printf '\r\033[K    %s: %d steps, %dm%02ds' "$name" "$lines" $((t / 60)) $((t % 60))
		else
			note "$name: $lines steps, $((t / 60))m$((t % 60))s"
		fi
	done
	trap - INT TERM
	eval "$traps"
	[ -t 1 ] && printf '\r\033[K'
	t=$((SECONDS - start))
	if wait "$pid"; then
		note "$name: done, $((t / 60))m$((t % 60))s"
	else
		tail -n 25 "$log" >&2
		die "$name failed${hint:+: $hint}; the whole log is $log"
	fi
}

# In L1: pages that IOMMU drivers have for their tables
iommu_pages()
{
	cat /proc/sys/vm/stat_refresh >/dev/null
	awk '$1 == "nr_iommu_pages" { print $2 }' /proc/vmstat
}

# iommu_pages_fall_to NUMBER: wait for that, since read-copy-update takes its time.
iommu_pages_fall_to()
{
	local left=600
	while [ "$(iommu_pages)" -gt "$1" ]; do
		[ $((left -= 1)) -gt 0 ] || return 1
		sleep 0.1
	done
}

# The compiler of all builds here, with ccache if it is installed.
use_ccache()
{
	export CCACHE_DIR=$cache/ccache CCACHE_BASEDIR=$top CCACHE_NOHASHDIR=1
	export CCACHE_MAXSIZE=5G
	if command -v ccache >/dev/null; then cc="ccache gcc"; else cc=gcc; fi
}

# worktree DIRECTORY COMMIT: a work tree of the kernel, made if there is none
worktree()
{
	local known
	# Another repository may be in the place of the one that this was made for.
	known=$(cat "$(git -C "$1" rev-parse --absolute-git-dir 2>/dev/null)/gitdir" 2>/dev/null) || true
	[ ! "$known" -ef "$1/.git" ] || return 0
	rm -rf "$1"
	git -C "$build/linux" worktree prune
	git -C "$build/linux" worktree add -q --detach "$1" "$2"
}

# The C files of the kernel that the series changes or adds, without those of tests
changed_code()
{
	git -C "$build/linux" diff --name-only "$@" base generated -- 'drivers/*.c' | grep -v kunit
}

# Those that it adds
new_code() { changed_code --diff-filter=A; }
