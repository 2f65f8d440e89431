# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced in L1: a guest that does what it is asked to, and the calls that its QEMU makes
# for that.

l2=$(dirname "${BASH_SOURCE[0]}")
. "$l2/../lib.sh"
work=$(mktemp -d)
console=$work/console
mkfifo "$work/keys"
exec 7<>"$work/keys"

# guest_boot ARGUMENT...: returns when the guest waits to be asked.
guest_boot()
{
	rm -f "$work/ioctls"
	: >"$console"
	IOCTLS=$work/ioctls LD_PRELOAD=$build/l2/ioctls.so "$l2/boot" "$@" <&7 >"$console" 2>&1 &
	qemu=$!
	guest_said '^l2: ready' 1
}

# guest_said PATTERN TIMES: wait until it has
guest_said()
{
	until [ "$(grep -c "$1" "$console")" -ge "$2" ]; do
		kill -0 "$qemu" 2>/dev/null || return 1
		sleep 0.2
	done
}

# ask COMMAND: one of lab/l2/init's; returns when it is done.
ask()
{
	local times
	times=$(grep -c "^l2: done $1" "$console" || :)
	echo "$1" >&7
	guest_said "^l2: done $1" $((times + 1))
}

guest_reboot()
{
	local times
	times=$(grep -c '^l2: ready' "$console")
	echo reboot >&7
	guest_said '^l2: ready' $((times + 1))
}

guest_kill()
{
	kill -9 "$qemu"
	wait "$qemu" 2>/dev/null || :
}

# The calls since the last time: maps, unmaps, invalidations, entries of these, binds and
# unbinds; and the cycles that L1's kernel needed for all.
calls()
{
	od -An -v -w24 -t u8 "$work/ioctls" >"$work/now"
	[ -e "$work/before" ] || sed 's/[0-9]\+/0/g' "$work/now" >"$work/before"
	paste "$work/before" "$work/now" | awk '
		{ calls[NR - 1] = $4 - $1; cycles[NR - 1] = $6 - $3; entries += $5 - $2 }
		END {
			print calls[13], calls[14], calls[25], entries, calls[23] + calls[24],
				cycles[13] + cycles[14] + cycles[23] + cycles[24] + cycles[25]
		}'
	mv "$work/now" "$work/before"
}
