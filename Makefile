# What can be done with this checkout. `make` prints the list.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# Without a git checkout (an unpacked archive, say) the binary says "devel".
VERSION := $(or $(shell git describe --tags --always --dirty 2>/dev/null),devel)

# One setting for all that needs no race detector, so that gateway, devcluster
# and linter share what has been compiled; without C, for Go is all we need.
PLAIN := CGO_ENABLED=0 GOFLAGS="$(strip $(shell go env GOFLAGS) -trimpath)"

# All that could be compiled or embedded; one too many only costs a look by go build.
GATEWAY_SOURCES := $(shell find . -mindepth 1 \
	\( -name '.*' -o -path ./bin -o -path ./devcluster -o -path ./docs -o -path ./test \
	-o -path ./scripts -o -path ./tools -o -path ./release -o -name testdata \) -prune \
	-o -type f ! -name '*_test.go' ! -name '*.md' -print)
DEVCLUSTER_SOURCES := $(wildcard devcluster/*.go devcluster/*/*.go) \
	devcluster/go.mod devcluster/go.sum devcluster/build.sh

# What is shipped is built by the Go that go.mod names, which Go fetches where it is
# another one: other compilers write other bytes.
RELEASE = GOTOOLCHAIN=go$(shell awk '$$1 == "go" { print $$2 }' go.mod) $(PLAIN) go -C release run .

build_gateway = $(PLAIN) go build -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)" -o bin/gateway ./cmd/gateway
build_devcluster = devcluster/build.sh bin/devcluster && touch bin/devcluster

# Knobs, all for the command line: make fuzz FUZZTIME=5m
FUZZTIME ?= 30s
BENCH ?= .
BENCHCOUNT ?= 6
BENCHTIME ?= 1s
BENCHBASE ?=
FIGURES ?= duplicates creates storm memory
ROUNDS ?= 50
SEED ?= 0
LENGTH ?= 10s
SIGNALS ?= 10000
MINUTES ?= 10
FLOODTIME ?= 1m
SCHEDULES ?= 100000
SWAPS ?= 1000
UPDATE ?=
VULNDB ?=
PACKAGES ?= ./...
REFERENCE ?=
ARGS ?=

.PHONY: help
help: ## print this list
	@echo "The signal gateway: Alertmanager webhooks and Kubernetes Events in, RemediationRequests out."
	@echo
	@echo "  New here?  make dev   needs Go and nothing else; it prints what to do next."
	@echo "             make test  needs Go and apt, and sets up the rest by itself."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "The first build compiles kube-apiserver and etcd, about 6 minutes on 2 cores; after that"
	@echo "they come from $${XDG_CACHE_HOME:-~/.cache}/kubernaut-gateway. CONTRIBUTING.md has the rules."

.PHONY: dev
dev: bin/gateway bin/devcluster ## build what is missing, run the gateway with a Kubernetes API of its own (ARGS=...)
	@exec bin/gateway dev --log-format text $(ARGS)

.PHONY: build
build: ## build bin/gateway and bin/devcluster
	$(build_gateway)
	$(build_devcluster)

bin/gateway: $(GATEWAY_SOURCES)
	$(build_gateway)

bin/devcluster: $(DEVCLUSTER_SOURCES)
	$(build_devcluster)

.PHONY: setup
setup: ## install the Debian packages that the tests run (Redis, Prometheus, Alertmanager, Chromium), no service started
	scripts/setup-test.sh

.PHONY: test
test: setup build ## set up, build, vet and run every test with the race detector (PACKAGES=./...)
	@PACKAGES="$(PACKAGES)" scripts/test.sh

.PHONY: model
model: setup ## check the model of two replicas with spin, every configuration and every broken variant (3 minutes)
	@scripts/model.sh

.PHONY: simulate
simulate: ## run schedules of replicas, senders and faults in virtual time, and the mistakes that they catch (SCHEDULES=100000 SEED=0; half an hour)
	$(PLAIN) go test -count=1 -timeout 0 -v ./test/simulation -run '^Test(Schedules|Variants)$$' -schedules $(SCHEDULES) -seed $(SEED)

.PHONY: chaos
chaos: setup build ## play rounds of outages with real processes and reconcile what was acknowledged (ROUNDS=50 SEED=0 LENGTH=10s)
	go run ./test/chaos/run -rounds $(ROUNDS) -seed $(SEED) -length $(LENGTH)

.PHONY: outage
outage: setup build ## spool signals while the API server is away, and time how they drain (SIGNALS=10000)
	go test ./test/integration/replica -run TestOutage -count 1 -v -timeout 30m -outage-signals $(SIGNALS)

.PHONY: reload
reload: setup build ## replace a policy 1,000 times under full traffic (SWAPS=1000)
	go test ./test/integration/decide -run TestReloadUnderLoad -count 1 -v -timeout 30m -swaps $(SWAPS)

.PHONY: events
events: setup build ## watch 5,000 Events while the replica that watches is killed five times, and the lag of 200 a second
	go test ./test/integration/events -run 'Test(NothingIsLostOrHandledTwice|Lag)$$' -count 1 -v -timeout 30m \
		-event-writes 5000 -event-pods 200 -event-workloads 20 -event-kills 5 -event-rate 200 -event-seconds 30

.PHONY: soak
soak: setup build ## run one gateway with Redis at full speed and print its memory each minute (MINUTES=10)
	go run ./test/soak -minutes $(MINUTES)

.PHONY: attack
attack: setup build ## attack the gateway's executable in every way of docs/security-audit.md (3 minutes); UPDATE=1 writes its table anew
	go test ./test/attack -count 1 -v -timeout 20m -long $(if $(UPDATE),-update)

.PHONY: vuln
vuln: ## look for known vulnerabilities in what the gateway calls, with the pinned govulncheck; needs https://vuln.go.dev
	tools/run.sh govulncheck $(if $(VULNDB),-db $(VULNDB)) ./cmd/gateway

.PHONY: flood
flood: build ## send 20 times a source's limit beside another source's steady signals (FLOODTIME=1m)
	go run ./test/flood/run -length $(FLOODTIME)

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (30s); `make test` runs their seeds
	@FUZZTIME="$(FUZZTIME)" scripts/fuzz.sh

.PHONY: bench
bench: build ## run the benchmarks (BENCH=., BENCHCOUNT=6, BENCHTIME=1s; BENCHBASE=FILE compares), then the figures
	@mkdir -p .cache/bench
	go test -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME) -count $(BENCHCOUNT) -timeout 60m \
		$(PACKAGES) | tee .cache/bench/$(VERSION).txt
	tools/run.sh benchstat $(BENCHBASE) .cache/bench/$(VERSION).txt
	@echo "kept in .cache/bench/$(VERSION).txt; compare the next with BENCHBASE=.cache/bench/$(VERSION).txt"
	$(MAKE) bench-figures

.PHONY: bench-figures
bench-figures: bin/devcluster ## print the figures of docs/performance.md, fail where a target is missed (FIGURES="duplicates creates storm memory")
	go run ./test/bench/measure $(FIGURES)

.PHONY: bench-replay
bench-replay: ## record and replay generated signals, and print how fast and in how much memory (SIGNALS=10000)
	go run ./test/bench/replay -signals $(SIGNALS)

.PHONY: bench-memory
bench-memory: bin/devcluster ## print the memory of 100,000 requests in the cache; takes 8 GB and a quarter of an hour
	go run ./test/bench/measure -requests 100000 memory

.PHONY: image
image: ## write the container image for linux on amd64 and arm64 to bin/image, without a container engine
	$(RELEASE) image --out $(CURDIR)/bin/image

.PHONY: push
push: ## copy the image of `make image` to a registry (REFERENCE=REGISTRY/REPOSITORY:TAG)
	$(RELEASE) push $(CURDIR)/bin/image/oci '$(REFERENCE)'

# Each part writes files of its own into RELEASE_DIR; checksums go over all of them.
RELEASE_DIR := $(CURDIR)/bin/release/$(VERSION)
RELEASE_PARTS := release-archives release-image

.PHONY: release
release: ## build what is shipped: archives, image, bills of materials, checksums, in bin/release/VERSION
	rm -rf '$(RELEASE_DIR)'
	mkdir -p '$(RELEASE_DIR)'
	$(MAKE) $(RELEASE_PARTS)
	$(RELEASE) checksums '$(RELEASE_DIR)'
	@cat '$(RELEASE_DIR)/SHA256SUMS'

.PHONY: release-archives
release-archives:
	$(RELEASE) archives --out '$(RELEASE_DIR)'

.PHONY: release-image
release-image:
	$(RELEASE) image --out $(CURDIR)/bin/image --archive '$(RELEASE_DIR)/gateway-service_$(VERSION)_image.tar'

.PHONY: check-release
check-release: ## release twice, the second time from a clone and from nothing compiled, and compare (20 minutes)
	@scripts/check-release.sh

.PHONY: generate
generate: ## write anew what follows from other files: api/, docs/cli.md, the tables of docs/configuration.md
	tools/run.sh controller-gen object crd paths=./api/... output:crd:dir=api/v1alpha1/crd
	$(PLAIN) go test ./config ./cmd/gateway -run '^TestReference$$' -count 1 -update

.PHONY: manifests
manifests: ## write rules, dashboard, deploy/gateway and the chart's copies anew, from the chart, api/ and deploy/observability
	$(PLAIN) go -C deploy/observability run .
	$(PLAIN) go -C deploy/render run .

.PHONY: check-generate
check-generate: ## fail if what is generated is stale
	@scripts/check-generate.sh

.PHONY: lint
lint: ## check style, arrows and modules with the pinned linter (its first build takes minutes)
	$(PLAIN) tools/run.sh golangci-lint run ./...
	cd devcluster && $(PLAIN) ../tools/run.sh golangci-lint run -c ../.golangci.yml ./...
	cd test/e2e/notifier && $(PLAIN) ../../../tools/run.sh golangci-lint run -c ../../../.golangci.yml ./...
	cd deploy/render && $(PLAIN) ../../tools/run.sh golangci-lint run -c ../../.golangci.yml ./...
	cd deploy/observability && $(PLAIN) ../../tools/run.sh golangci-lint run -c ../../.golangci.yml ./...
	cd release && $(PLAIN) ../tools/run.sh golangci-lint run -c ../.golangci.yml ./...
	go mod tidy -diff
	go -C release mod tidy -diff
	go -C devcluster mod tidy -diff
	go -C test/e2e/notifier mod tidy -diff
	go -C deploy/render mod tidy -diff
	go -C deploy/observability mod tidy -diff
	scripts/check-dependencies.sh

.PHONY: format
format: ## format the code as lint wants it
	tools/run.sh golangci-lint fmt ./...
