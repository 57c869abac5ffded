# make run    build and start Usher in development mode
# make test   every check and every test; installs what they need
GO          ?= go
STATICCHECK  = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK  = golang.org/x/vuln/cmd/govulncheck@v1.1.4
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
TESTFLAGS   ?=
export CGO_ENABLED ?= 1

.PHONY: run build lambda web screenshots test sdk check deps race e2e converge bench reference-aws fuzz generate vuln release check-packages clean

run: build
	./bin/usher serve --dev

build: web
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/usher ./cmd/usher

# lambda builds what deploy/aws/template.yaml deploys.
lambda:
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) build -trimpath -tags lambda.norpc -ldflags '-s -w -X main.version=$(VERSION)' -o deploy/aws/bin/bootstrap ./cmd/usher

test: deps web check vuln sdk
	$(GO) test -race -timeout 30m $(TESTFLAGS) ./...

# check is everything that reads the code without running it.
check:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "not gofmt'ed:"; echo "$$unformatted"; exit 1; }
	$(GO) mod tidy -diff
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	./scripts/generated-clean

# deps installs what the tests need beyond Go, and says what it can't.
deps:
	GO=$(GO) ./scripts/test-deps

# web builds the page to call from, where there is Node.js.
web:
	./scripts/build-web

# screenshots makes those of docs/screenshots anew, by the test that looks at every page.
screenshots: deps web
	mkdir -p docs/screenshots
	E2E_SCREENSHOTS=$(CURDIR)/docs/screenshots $(GO) test -count=1 -run 'TestEveryPageOfTheAppCanBeUsedByEverybody|TestTheConsoleIsForEverybody' ./e2e

# sdk builds and tests the client for browsers and Node.js, and says how large it is.
sdk: deps
	cd sdk/js && npm run --silent check && npm test --silent && npm run --silent size

race:
	$(GO) test -race -short $(TESTFLAGS) ./...

e2e: deps
	$(GO) test -race -count=1 $(TESTFLAGS) ./e2e/...

# converge has the clients of Room Service agree on SEEDS random histories.
SEEDS ?= 2000
converge: deps
	E2E_SEEDS=$(SEEDS) $(GO) test -count=1 -timeout 6h -run Converge -v ./e2e

bench: build
	./bin/usher bench join
	./bin/usher bench decide
	./bin/usher bench mint
	$(GO) test -run '^$$' -bench . -benchmem ./...

# reference-aws asks serverless-offline how it answers; it installs 300 MB, and
# nothing else needs it.
reference-aws:
	./scripts/reference-aws

# fuzz runs every fuzz test for FUZZTIME, one after the other.
FUZZTIME ?= 10s
fuzz:
	GO=$(GO) FUZZTIME=$(FUZZTIME) ./scripts/fuzz

generate:
	$(GO) generate ./...

# vuln asks the Go vulnerability database where it can be reached.
vuln:
	GO=$(GO) ./scripts/vulncheck $(GOVULNCHECK)

# release makes dist: a static binary for each system, with its SBOM, and their
# checksums, signed if KEY (for minisign) says so.
release: web
	GO=$(GO) VERSION=$(VERSION) ./scripts/release

# check-packages tries deploy with Helm, Prometheus and Caddy, which it fetches:
# gigabytes, and a quarter of an hour.
check-packages: web
	GO=$(GO) ./scripts/check-packages

clean:
	rm -rf bin dist deploy/aws/bin
