# mkimage: `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

GO        ?= go
TIMEOUT   ?= 20m
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
build: programs ## bin/mkimage, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/mkimage

# What an initramfs holds is embedded into mkimage. The same sources and the
# same Go give the same bytes, so nothing of the environment may reach them.
PROGRAMS  := initramfs/embedded/programs
GUEST_ENV := GOOS=linux GOARCH=amd64 GOAMD64=v1 CGO_ENABLED=0 GOFLAGS= GOEXPERIMENT= GOFIPS140=off

.PHONY: programs
programs: $(PROGRAMS)/busybox.cpio.zst # the programs of the initramfs
	$(GUEST_ENV) $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -buildid=' -o $(PROGRAMS)/ ./cmd/mkimage-init

# 40 s the first time, 6 s when only the list of commands changed.
$(PROGRAMS)/busybox.cpio.zst: $(wildcard initramfs/busybox/*.go initramfs/busybox/go.*) .cache/go-version
	cd initramfs/busybox && GOFLAGS= $(GO) run . -o $(CURDIR)/$@

# Changes only when another Go is used.
.cache/go-version: FORCE
	@mkdir -p $(@D) && $(GO) version | cmp -s - $@ || $(GO) version > $@

.PHONY: FORCE
FORCE:

.PHONY: image
image: build ## bin/reference.btrfs, a Debian userland in five subvolumes
	tar=$$($(GO) run ./builder/imgtest/cmd/reference | awk '$$1 == "tar" {print $$2}') && \
	bin/mkimage mkfs --from "tar:$$tar" \
		--root-subvolume @ --subvolume @home:home --subvolume @nix:nix --subvolume @var:var --subvolume @swap:swap \
		--nodatacow @swap --swapfile @swap/swapfile=64MiB --default-subvolume @ \
		--label reference -o bin/reference.btrfs
	@echo
	@echo "Look into it:     bin/mkimage ls -l bin/reference.btrfs:@"
	@echo "Check it:         bin/mkimage check bin/reference.btrfs"
	@echo "Resume offset:    bin/mkimage map-swapfile bin/reference.btrfs @swap/swapfile"
	@echo "Mount it (root):  mount -o loop bin/reference.btrfs /mnt"

.PHONY: reference
reference: ## the Debian userland of tests and benchmarks, below .cache (as root)
	$(GO) run ./builder/imgtest/cmd/reference

.PHONY: test
test: programs suites ## every test; needs what `make deps` installs
	$(GO) test -timeout $(TIMEOUT) $(TESTFLAGS) ./...
	cd initramfs/busybox && $(GO) test -timeout $(TIMEOUT) $(TESTFLAGS) ./...

.PHONY: test-full
test-full: export MKIMAGE_FULL = 1
test-full: TIMEOUT = 60m
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

.PHONY: clean
clean: ## remove what make made
	rm -rf bin .cache
	find $(PROGRAMS) -type f ! -name README.md -delete
