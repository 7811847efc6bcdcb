# Bare make prints the targets below. All of them need Go and make, no more; the
# tests of databases start their own, see internal/testdb.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run build test race check generate verify bench fuzz clean

BUF         := github.com/bufbuild/buf/cmd/buf@v1.75.0
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME    := 30s

help: ## print this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

run: build ## build Cardea and start it with ./data and the drive example
	@exec bin/cardea serve --dev --example drive

build: ## build bin/cardea
	go build -trimpath -o bin/cardea ./cmd/cardea

test: ## run all tests
	@go test -json -timeout 12m ./... | go run ./internal/testreport

race: ## run all tests with the race detector
	@CGO_ENABLED=1 go test -race -json -timeout 30m ./... | go run ./internal/testreport

check: ## formatting, vet, staticcheck, known vulnerabilities
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "run gofmt -w on: $$unformatted"; exit 1; }
	go vet ./...
	cd bench/peers && go vet ./...
	go run $(STATICCHECK) ./...
	@out=$$(go run $(GOVULNCHECK) ./... 2>&1) && echo "$$out" || case "$$out" in \
	  *"fetching vulnerabilities"*) echo "govulncheck: skipped, its database cannot be reached";; *) echo "$$out"; exit 1;; esac

generate: ## rewrite what is generated: proto/*.pb.go and examples
	cd proto && go run $(BUF) generate
	go generate ./...

verify: generate ## fail if what is generated is not what is committed
	git diff --exit-code -- proto examples

bench: ## run the benchmarks beside the code
	go test -run '^$$' -bench . -benchmem ./...

fuzz: ## run each fuzz target for FUZZTIME (30s)
	@grep -rlE '^func Fuzz' --include='*_test.go' . | while read -r file; do \
	  for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9]*).*/\1/p' "$$file"); do \
	    go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")"; done; done

clean: ## remove what was built; ./data stays
	rm -rf bin
	go clean -testcache
