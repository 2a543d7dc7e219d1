# The commands of this repository; `make help` lists them. They need Go, git,
# make and gcc; servers and client tools are got by deploy/dev.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help tools-check build build-failpoints demo demo-mysql demo-mariadb test campaign mutants lint fuzz fuzz-coverage nightly clean

GO ?= go
FUZZTIME ?= 20s
KILLS ?= 200
SEED ?= 1
SERVERS ?= mysql,kafka,redis,s3
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

help: ## List the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | awk -F'\t' '{printf "make %-14s %s\n", $$1, $$2}'

# Every recipe that compiles comes through here, so that what is missing has a
# name and not the error of a tool that stumbled over it.
tools-check:
	@command -v $(GO) >/dev/null || { echo "missing: go; way out: install Go 1.26 or later and put it on the PATH" >&2; exit 3; }
	@v=$$($(GO) env GOVERSION); case $$v in go1.[0-9]|go1.[0-9].*|go1.1[0-9]*|go1.2[0-5]*) \
		echo "missing: Go 1.26 or later, this is $$v; way out: install it and put it on the PATH" >&2; exit 3;; esac
	@test "$$(uname -s)" = Linux || echo "note: deploy/dev and the demo on real servers are made for Debian; this is $$(uname -s)" >&2

build: tools-check ## Build bin/tailwater (the first time takes minutes)
	@test -x bin/tailwater || echo "building bin/tailwater; the first build of a machine takes about 3 minutes" >&2
	@# go build says nothing while it compiles, so somebody else has to.
	@$(GO) build -ldflags "-X main.version=$(VERSION)" -o bin/tailwater ./cmd/tailwater & build=$$!; \
	trap 'kill $$build 2>/dev/null' INT TERM; s=0; \
	while kill -0 $$build 2>/dev/null; do sleep 0.5; s=$$((s+1)); [ $$((s % 40)) != 0 ] || echo "building: $$((s/2)) s so far" >&2; done; \
	wait $$build

build-failpoints: tools-check ## Build bin/tailwater-failpoints, which tests can kill and fail at named steps
	@$(GO) build -tags failpoints -ldflags "-X main.version=$(VERSION)+failpoints" -o bin/tailwater-failpoints ./cmd/tailwater

demo: build ## Run the whole pipeline on twelve built-in primaries; no servers needed
	@exec bin/tailwater demo $(ARGS)

demo-mysql: build ## The same on twelve real MySQL servers
	@deploy/dev/mysql-tree >/dev/null
	@exec bin/tailwater demo --servers mysql $(ARGS)

demo-mariadb: build ## The same on twelve real MariaDB servers
	@deploy/dev/mariadb-tree >/dev/null
	@exec bin/tailwater demo --servers mariadb $(ARGS)

test: build ## Start the servers that the tests need, run every test, stop the servers
	@$(GO) build -o bin/test-runner ./internal/testenv/run
	@TAILWATER_BIN="$(CURDIR)/bin/tailwater" exec bin/test-runner

campaign: tools-check ## Kill a pipeline at named steps on real servers, and check from outside (KILLS, SEED, SERVERS)
	@$(GO) build -o bin/campaign ./internal/campaign/run
	@exec bin/campaign -kills $(KILLS) -seed $(SEED) -servers $(SERVERS) $(ARGS)

# The program that a test starts must be made of what is planted.
mutants: tools-check ## Plant known bugs one at a time: a named test must turn red for each; ARGS="-run REGEXP" or "-list"
	@unset TAILWATER_BIN; exec $(GO) run ./internal/mutants/run $(ARGS)

nightly: FUZZTIME := 2m
nightly: tools-check fuzz-coverage fuzz ## Run what is too large for make test: fuzz targets for 2m each, transactions of 5 GiB, rows of 900 MiB
	TAILWATER_NIGHTLY=1 $(GO) test -count=1 -timeout 60m -run 'A34_A40_Memory|A7_ATransaction|A35_RowsUp' -v ./binlog

lint: tools-check ## gofmt, go vet and staticcheck
	@files=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$files" ] || { echo "not formatted by gofmt:" $$files >&2; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

# What is found is made smaller for a second only: by default that takes up to a
# minute for each, in which nothing else is tried. When its time ends while a
# worker answers, go test says "context deadline exceeded" and fails without an
# input that does: that is no finding (go.dev/issue/75804, mended in Go 1.27).
fuzz: tools-check ## Run every fuzz target for FUZZTIME (20s)
	@set -o pipefail; log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	grep -rl --include='*_test.go' '^func Fuzz' . | while read -r f; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$f"); do \
			echo "== $$target in $$(dirname "$$f")"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s "$$(dirname "$$f")" </dev/null | tee "$$log" || \
				{ grep -q '^ *context deadline exceeded$$' "$$log" && ! grep -q 'Failing input\|panic' "$$log"; } || exit 1; \
		done; done

fuzz-coverage: tools-check ## Print how much of each parser the seeds of its fuzz target execute
	$(GO) test -count=1 -v -run TestFuzzSeeds_CoverTheirParsers ./internal/budget

clean: ## Remove what was built here; the unpacked servers stay in the user's cache
	rm -rf bin
