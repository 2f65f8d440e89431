# SPDX-License-Identifier: GPL-2.0
# Entry points; the work is done in lab/. Nothing below build/ is committed.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.NOTPARALLEL:

# Fetch both sources before the first long build, to fail early if one is missing.
.PHONY: demo
demo: tree tree-qemu kernel-patched qemu programs ## build everything, boot, and show the launch of a guest
	@lab/demo

.PHONY: demo-l2
demo-l2: tree tree-qemu kernel-patched qemu programs ## guests with a virtual IOMMU, and what they cost (UPDATE=1: write it into QEMU's page)
	@lab/demo-l2 $(if $(UPDATE),--update)

.PHONY: check
check: packages-checks trees kernel-patched qemu ## run all tests, on each base (ONLY=name: one part of them)
	@$(MAKE) -s -j$$(nproc) -C lab checks
	@lab/check $(ONLY)

.PHONY: check-long
check-long: packages-long packages-checks trees kernel-patched qemu programs ## what takes too long for make check
	@LAB_PARTS=$(CURDIR)/lab/parts-long.sh lab/check $(ONLY)

.PHONY: deb
deb: packages-deb tree tree-qemu qemu ## Debian packages of a kernel with the series, booted in L1 (WHOLE=1: with all modules)
	@lab/deb

.PHONY: soak
soak: tree tree-qemu kernel-patched qemu programs ## guests that come and go at random (MINUTES=60)
	@lab/soak $(MINUTES)

.PHONY: coverage
coverage: packages-long tree tree-qemu qemu programs ## which lines of the series' new files no suite runs
	@lab/coverage

.PHONY: html
html: packages-html tree tree-qemu ## the documentation as pages: build/html
	@lab/check docs
	@echo "$(CURDIR)/build/html/userspace-api/iommu.html"
	@echo "$(CURDIR)/build/html/qemu/intel-iommu-host.html"

.PHONY: bench
bench: packages-bench tree tree-qemu qemu programs ## measure the cost of the calls (UPDATE=1: write lab/bench.figures)
	@lab/bench $(if $(UPDATE),--update)

.PHONY: compare
compare: tree tree-qemu kernel-patched qemu programs ## compare ways to copy a structure, and write the tables of iommu-copy.rst
	@lab/compare

.PHONY: mutants
mutants: tree tree-qemu qemu programs ## break the series' code, one small change at a time: does a test notice?
	@lab/mutate $(MUTATE)

.PHONY: shell
shell: tree tree-qemu kernel-patched qemu programs ## a shell in L1, the patched kernel inside QEMU
	@lab/run --interactive --any-log /bin/bash -i

.PHONY: l2
l2: tree tree-qemu kernel-patched qemu ## a shell in L2, a guest of QEMU in L1 with a virtual IOMMU
	@lab/build l2
	@lab/run --interactive --any-log --memory 1500M -- lab/with-vfio lab/l2/boot interactive

.PHONY: tree
tree: packages ## the kernel source as a git history, one commit per patch: build/linux
	@lab/tree make kernel

# All trees, side by side: what unpacks them has one thread.
.PHONY: trees
trees: packages
	@printf '%s\n' '6.12 kernel' '7.3 kernel' '6.12 qemu' | \
		xargs -P 3 -L 1 bash -c 'BASE=$$0 exec lab/tree make $$1'

.PHONY: series
series: packages ## write the mails for `git am`: build/series
	@lab/tree mails kernel
	@echo "The mails are in build/series/kernel."

.PHONY: refresh
refresh: ## fold edits in build/linux back into the patches (COMMIT=hash for a new file)
	@lab/tree refresh kernel $(COMMIT)

.PHONY: refresh-qemu
refresh-qemu: ## the same for build/qemu
	@lab/tree refresh qemu $(COMMIT)

.PHONY: kernel-patched kernel-stock kernel-debug
kernel-patched: tree ## build the patched kernel
	@lab/build kernel patched
kernel-stock: tree ## build the unpatched kernel, with IOMMUFD
	@lab/build kernel stock
kernel-debug: tree ## build the patched kernel with lockdep and fault injection
	@lab/build kernel debug

.PHONY: tree-qemu
tree-qemu: packages ## the same for QEMU: build/qemu
	@lab/tree make qemu

.PHONY: qemu
qemu: tree-qemu ## build the emulator
	@lab/build qemu

.PHONY: programs
programs: tree ## build the programs that run in L1
	@$(MAKE) -s -C lab

.PHONY: packages packages-checks packages-long packages-bench packages-html packages-deb
packages:
	@lab/prepare
packages-checks:
	@lab/prepare --checks
packages-long:
	@lab/prepare --long
packages-bench:
	@lab/prepare --bench
packages-html:
	@lab/prepare --html
packages-deb:
	@lab/prepare --deb

.PHONY: clean
clean: ## delete build/ (the caches stay)
	rm -rf build

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
