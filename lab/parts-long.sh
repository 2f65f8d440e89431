# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The parts of make check-long: what takes too long for each change. As parts.sh.

parts=$lab/parts

lane build
part kunittool "kunit.py builds and runs the KUnit tests" "$parts/kunittool"
