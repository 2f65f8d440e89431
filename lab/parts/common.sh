# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced by the parts of make check: what some of them share.
# shellcheck disable=SC2034

. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

kernel=$build/linux
bindir=$build/programs
logs=$build/check
mkdir -p "$logs"

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
