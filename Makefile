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
.PHONY: help build run test test-faults test-packages test-vm test-frames fuzz check packages image bench bench-quick \
	deps clean install

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

test-faults: build ## 200 faults in the middle of traffic, by chance but for FW_FAULTS_SEED
	scripts/next-schema.sh
	$(CARGO) build --release --locked -p sandbox
	$(AS_ROOT) target/release/sandbox faults --faults $${FW_FAULTS:-200} \
		--seed $${FW_FAULTS_SEED:-1} --next target/next-schema/fw-ctl

test-packages: deps ## install, upgrade, break and remove the packages, in guests that boot
	scripts/deps.sh packages
	scripts/test-packages.sh

test-vm: deps ## what tests in guests, with every kernel and more of each
	FW_GUESTS=all FW_GUEST_EFFORT=4 scripts/test.sh --tests in_guests

test-frames: deps ## ten million hostile frames (FW_FRAMES) on the model, XDP and TC
	FW_FRAMES=$${FW_FRAMES:-10000000} FW_KERNEL_TESTS=require \
		$(CARGO) test --release --locked -p fw-ctl --test packets -- hostile:: --nocapture

fuzz: ## every target of fuzz/ by cargo-fuzz, FW_FUZZ_SECONDS each (60)
	scripts/fuzz.sh

check: ## formatting, lints and unit tests: what to run before a commit
	scripts/check.sh
	scripts/test.sh --lib --bins

packages: deps ## the .deb and the .rpm, into target/package
	scripts/packages.sh

image: ## OCI images for Talos and Kubernetes, of the binary that packages hold (or FW_IMAGE_BINARY)
	scripts/image.sh $${FW_IMAGE_BINARY:-target/x86_64-unknown-linux-gnu/dist/fw-ctl} target/image
	scripts/image-check.sh target/image/extension target/image/container

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

install: ## put the built fw-ctl and its systemd unit under DESTDIR
	install -D -m 0755 target/release/fw-ctl $(DESTDIR)$(PREFIX)/sbin/fw-ctl
	install -D -m 0644 packaging/systemd/fw-ctl.service $(DESTDIR)$(PREFIX)/lib/systemd/system/fw-ctl.service
	install -D -m 0644 packaging/systemd/sysusers.d/fw-ctl.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/fw-ctl.conf
