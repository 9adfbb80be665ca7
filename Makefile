# What a newcomer needs first: `make run`, `make demo`, `make test`. `make help` lists the rest.

SHELL := /bin/bash
.DEFAULT_GOAL := help

GRAPNEL := .build/release/grapnel
SWIFT_SOURCES := Package.swift Sources $(wildcard Tests) \
	$(foreach package,Benchmarks loadtest,$(wildcard $(addprefix $(package)/,Package.swift Sources Benchmarks Tests)))
ROUNDS ?= 50
FUZZ_SECONDS ?= 20

.PHONY: help deps deps-run deps-peers build run demo demo-cluster test test-long fuzz crash sanitize loadtest bench format lint clean tarball deb test-deploy test-cluster

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

deps: ## install the Debian packages that building and testing need (root or sudo; skipped when they are there)
	@Tests/Support/deps.sh

deps-run: ## of these only what building, the quickstart and the demos need
	@Tests/Support/deps.sh run

deps-peers: ## the packages that only the comparison with other servers needs
	@Tests/Support/deps.sh peers

build: ## the release binary, .build/release/grapnel
	swift build -c release --product grapnel

run: deps-run build ## serve the quickstart: a GitHub-signed push in, an action out; no cluster needed
	@deploy/quickstart/serve.sh $(GRAPNEL) data

demo: deps-run build ## the main job unattended: good, bad, duplicate and uninteresting deliveries, and a SIGKILL
	@python3 Tests/EndToEnd/demo.py --grapnel $(GRAPNEL)

demo-cluster: deps-run build ## a fake API server with the guides' objects: one delivery of each, and what was written
	@python3 Tests/EndToEnd/demo_cluster.py --grapnel $(GRAPNEL)

test: deps ## everything that must be green; closes with `N passed, N failed, N skipped`
	@python3 Tests/run.py

test-long: deps ## the same with the long simulations, more crash rounds and longer fuzzing
	@python3 Tests/run.py --long

fuzz: ## each fuzz target for a while (FUZZ_SECONDS, default 20)
	@Tests/Fuzz/run.sh $(FUZZ_SECONDS)

crash: build ## ROUNDS (default 50) of load, SIGKILL, sometimes damage to the journal, restart; prints `lost 0 of N`
	@python3 loadtest/crash.py --grapnel $(GRAPNEL) --rounds $(ROUNDS) $(if $(SEED),--seed $(SEED))

sanitize: deps ## the Swift tests under the thread and the address sanitizer
	@Tests/Support/sanitize.sh

loadtest: ## the load generator, loadtest/.build/release/grapnel-load
	swift build -c release --package-path loadtest --product grapnel-load

bench: deps ## micro-benchmarks and their allocation counts, held against the committed thresholds
	@Benchmarks/run.sh

format: ## format all Swift sources in place
	swift format --in-place --parallel --recursive --configuration .swift-format $(SWIFT_SOURCES)

lint: ## imports run one way, formatting is clean
	@Tests/imports.sh
	swift format lint --strict --parallel --recursive --configuration .swift-format $(SWIFT_SOURCES)

tarball: deps-run ## a release archive with the Swift runtime inside: .build/dist/grapnel-*.tar.gz and its SHA-256
	@deploy/packaging/tarball.sh

deb: deps-run ## a Debian package of it: .build/dist/grapnel_*.deb
	@deploy/packaging/deb.sh

test-deploy: deps ## the manifests, the chart, the unit and the rules, without a cluster
	@python3 Tests/Deploy/run.py

test-cluster: build ## the server against the API server that KUBECONFIG names; takes away all that it makes there
	@python3 Tests/Cluster/run.py --grapnel $(GRAPNEL)

clean: ## remove what was built and the quickstart's data
	rm -rf .build .build-* loadtest/.build Benchmarks/.build Tests/Fuzz/.build data
