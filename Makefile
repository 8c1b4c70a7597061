# mkimage: `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

GO        ?= go
TIMEOUT   ?= 45m
TESTFLAGS ?=
FUZZTIME  ?= 10s
BENCH     ?= .

# Tests that lack a tool fail instead of skipping; see CONTRIBUTING.md.
export MKIMAGE_REQUIRE_TOOLS ?= 1

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: deps
deps: ## install the Debian packages that the build and the tests need (as root, Debian 12)
	scripts/deps.sh

.PHONY: build
build: programs ## bin/mkimage, one static binary, bin/mkimage-install and bin/mkimage-rescue
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/mkimage ./cmd/mkimage-install ./cmd/mkimage-rescue

# What an initramfs holds is embedded into mkimage. The same sources and the
# same Go give the same bytes, so nothing of the environment may reach them.
PROGRAMS  := initramfs/embedded/programs
GUEST_ENV := GOOS=linux GOARCH=amd64 GOAMD64=v1 CGO_ENABLED=0 GOFLAGS= GOEXPERIMENT= GOFIPS140=off

GUEST_FLAGS := -trimpath -buildvcs=false -ldflags '-s -w -buildid='

.PHONY: programs
programs: $(PROGRAMS)/busybox.cpio.zst # what goes into the initramfs and the system of an image
	$(GUEST_ENV) $(GO) build $(GUEST_FLAGS) -o $(PROGRAMS)/ ./cmd/mkimage-init ./cmd/mkimage-hibernate
	$(GUEST_ENV) $(GO) build $(GUEST_FLAGS) -o .cache/programs/ ./cmd/mkimage-firstboot ./cmd/mkimage-install ./cmd/mkimage-rescue
	cd installer/restic && $(GUEST_ENV) $(GO) build $(GUEST_FLAGS) -tags disable_grpc_modules -o $(CURDIR)/.cache/programs/ github.com/restic/restic/cmd/restic
	$(GO) run ./installer/programs/pack installer/programs/packed .cache/programs/mkimage-firstboot .cache/programs/mkimage-install .cache/programs/mkimage-rescue .cache/programs/restic

# 40 s the first time, 6 s when only the list of commands changed.
$(PROGRAMS)/busybox.cpio.zst: $(wildcard initramfs/busybox/*.go initramfs/busybox/go.*) .cache/go-version
	cd initramfs/busybox && GOFLAGS= $(GO) run . -o $(CURDIR)/$@

# Changes only when another Go is used.
.cache/go-version: FORCE
	@mkdir -p $(@D) && $(GO) version | cmp -s - $@ || $(GO) version > $@

.PHONY: FORCE
FORCE:

.PHONY: image
image: deps build man ## bin/bandit-full.img, a bootable disk of Debian; installs what it needs as root, downloads packages
	bin/mkimage build bandit-full --source debian:trixie --cache-dir .cache/mkimage --lock bin/bandit-full.lock.json -o bin/bandit-full.img
	@echo
	@echo "Boot it here, without writing to it:  bin/mkimage run bin/bandit-full.img   (Ctrl-A X ends it)"
	@echo "Boot it and check what it promises:   bin/mkimage test bin/bandit-full.img"
	@echo "Look into it:                         bin/mkimage inspect bin/bandit-full.img"

.PHONY: demo-reinstall
demo-reinstall: deps build ## a laptop with an empty disk is reinstalled in QEMU and gets its home back; prints the time of each step
	MKIMAGE_FULL=1 MKIMAGE_BINARY=$(CURDIR)/bin/mkimage $(GO) test -count=1 -timeout 60m -v -run '^TestReinstall$$' ./qemu-tests
	@echo
	@echo "What its consoles showed: .cache/qemu-tests/TestReinstall/install.serial"

.PHONY: nix-modules
nix-modules: ## nix/modules.json, the hash of the Go modules that the Nix package is built of
	$(GO) run ./nix/modules

.PHONY: man
man: build ## bin/man and bin/completions, manual pages and completions of shells
	@mkdir -p bin/man bin/completions
	bin/mkimage man bin/man
	for shell in bash zsh fish; do bin/mkimage completion $$shell > bin/completions/mkimage.$$shell; done

.PHONY: reference
reference: ## the Debian userland of tests and benchmarks, below .cache (as root)
	$(GO) run ./builder/imgtest/cmd/reference

.PHONY: nixfixture
nixfixture: ## the system in the shape of NixOS that tests boot, below .cache (as root)
	$(GO) run ./builder/imgtest/cmd/nixfixture

# What the tests of a package mount is theirs alone, and goes with them when
# they are killed: a mount that stays would fail those that check file systems
# as another user. Each package has its own, because a process that unshares its
# mounts gets a copy of all there are, and while it runs keeps a file system in
# use that its test has unmounted. Go keeps no results of tests that run so.
PRIVATE := $(shell unshare --mount true 2>/dev/null && echo "-exec 'unshare --mount'")

# What takes longest begins first, beside the rest; but where machines run for
# hours, they have the computer to themselves.
FIRST := ./qemu-tests

.PHONY: test
test: deps programs suites ## every test; installs what it needs (make deps)
	$(GO) test $(PRIVATE) -timeout $(TIMEOUT) $(TESTFLAGS) $(FIRST) ./... ./.ci/summary
	cd initramfs/busybox && $(GO) test -timeout $(TIMEOUT) $(TESTFLAGS) ./...

.PHONY: test-full
test-full: export MKIMAGE_FULL = 1
test-full: TIMEOUT = 240m
test-full: FIRST =
test-full: test ## every test, and the cases that take minutes

.PHONY: suites
suites:
	@echo "suites: $$($(GO) list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./... | grep . | sed "s,^$$($(GO) list -m)/,," | tr '\n' ' ')"
	@echo "as uid $$(id -u), missing tools fail: $(MKIMAGE_REQUIRE_TOOLS), slow cases: $${MKIMAGE_FULL:-0}"

.PHONY: lint
lint: ## gofmt, go vet, staticcheck and the length of files
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -d $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./... ./.ci/summary
	$(GO) tool staticcheck ./... ./.ci/summary
	cd initramfs/busybox && $(GO) vet ./...
	@git ls-files '*.go' | xargs wc -l | awk '$$1 > 400 && $$2 != "total" {print $$2 ": " $$1 " lines, expected at most 400"; bad = 1} END {exit bad}'

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s)
	scripts/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: ## benchmarks; BENCH=REGEXP chooses
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: bench-btrfs
bench-btrfs: ## the writer against mkfs.btrfs on the reference userland
	$(GO) run ./builder/imgtest/cmd/benchbtrfs

.PHONY: bench-initramfs
bench-initramfs: programs ## our initramfs against initramfs-tools' and dracut's
	$(GO) run ./builder/imgtest/cmd/benchinitramfs

.PHONY: bench-boot
bench-boot: programs ## the stages of a build, bench-initramfs, and boots with each initramfs
	$(GO) run ./builder/imgtest/cmd/benchboot

.PHONY: clean
clean: ## remove what make made
	rm -rf bin .cache
	find $(PROGRAMS) installer/programs/packed -type f ! -name README.md -delete
