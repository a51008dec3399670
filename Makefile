# Every task is a script or a cargo call; this file only names them.
# Without a task it prints them.

CARGO := scripts/cargo.sh
PREFIX ?= /usr
DESTDIR ?=
# Loading eBPF programs and making network namespaces is for root.
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# From here on no eBPF object is left out silently.
export FW_BPF ?= require

.DEFAULT_GOAL := help
.PHONY: help build run test test-vm check bench bench-quick deps clean install

help: ## print these lines
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

build: deps ## target/release/fw-ctl with the eBPF objects inside
	$(CARGO) build --release --locked -p fw-ctl

run: build ## show the firewall at work in a sandbox of network namespaces
	$(CARGO) build --release --locked -p sandbox
	$(AS_ROOT) target/release/sandbox

test: deps ## everything that tests; as root also what needs the kernel
	scripts/check.sh
	scripts/test.sh

test-vm: deps ## what tests in guests, with every kernel and more of each
	FW_GUESTS=all FW_GUEST_EFFORT=8 scripts/test.sh --tests in_guests

check: ## formatting, lints and unit tests: what to run before a commit
	scripts/check.sh
	scripts/test.sh --lib --bins

bench: build ## fw-ctl beside what else firewalls a host, into bench/report
	$(CARGO) build --release --locked -p bench
	$(AS_ROOT) target/release/bench

bench-quick: build ## the same in short: less than two minutes
	$(CARGO) build --release --locked -p bench
	$(AS_ROOT) target/release/bench --quick --check

deps: ## install with apt what building and testing needs and is not there
	@scripts/deps.sh

clean: ## remove what was built, the linker of our own too
	rm -rf target .toolchain

install: ## put the built fw-ctl under DESTDIR
	install -D -m 0755 target/release/fw-ctl $(DESTDIR)$(PREFIX)/sbin/fw-ctl
