# Every target is one line of help and one thing to run. CI calls the same targets.
TOOL := go tool -modfile=.ci/tools.mod

# The packages whose tests `make surroundings` looks through.
SURROUNDINGS := ./cmd/rolecall ./cmd/rolecall/internal/console ./cmd/rolecall/internal/service ./internal/replica ./jobs

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: dev
dev: ## Run everything on this machine: Postgres, a simulated Clerk, the service
	go run ./cmd/rolecall dev

.PHONY: test
test: ## Run the tests
	go test ./...

# The packages that `make race` leaves out: in their own code nothing runs beside anything else, and cmd/rolecall's tests start processes.
ALONE := cmd/rolecall|cmd/rolecall/internal/(bench|buildinfo|config|database|support|visible)|docs|internal/regular|internal/spreadsheet|migrations|sync

.PHONY: race
race: ## Run the tests in random order with the race detector, without browsers and with fewer random histories than `make laws`
	RAPID_CHECKS=20 ROLECALL_TEST_WITHOUT_BROWSER=1 go test -race -shuffle=on -timeout 30m $$(go list ./... | grep -vE 'rolecall/($(ALONE))$$')

.PHONY: surroundings
surroundings: ## Run the tests that need servers of their own, load the machine or measure time: failovers, poolers, floods, restarts
	ROLECALL_TEST_SURROUNDINGS=1 go test $(SURROUNDINGS) -run "$$(grep -hEB3 '^	(needs|servicetest\.Needs)Surroundings\(t\)' $(SURROUNDINGS:=/*_test.go) | sed -n 's/^func \(Test[A-Za-z_0-9]*\).*/^\1$$/p' | paste -sd '|' -)" -count=1 -p 1 -parallel 4 -timeout 20m

.PHONY: laws
laws: ## Run the laws of the merge rule over 10,000 histories each, 1,000 through the whole program, 2,000 of replicas, and 40 failovers
	go test ./sync -run Law -count=1 -rapid.checks=10000 -timeout 30m
	go test ./cmd/rolecall/internal/service -run 'TestHostileCourier|TestLossyCourier|TestLaggingCourier|TestAccessReviewOfAnyInstant|TestFollower_KnowsTheMembers' -count=1 -rapid.checks=200 -timeout 30m
	ROLECALL_TEST_SURROUNDINGS=1 go test ./internal/replica -run 'TestLaw_NoReplicaAnswersLate$$' -count=1 -rapid.checks=2000 -timeout 20m
	ROLECALL_TEST_SURROUNDINGS=1 go test ./internal/replica -run 'TestLaw_NoReplicaAnswersLateAfterAFailover' -count=10 -timeout 20m

.PHONY: fuzz
fuzz: ## Run each fuzz test for a few seconds
	@for package in sync webhooks api api/auth api/policy; do \
		for test in $$(go test ./$$package -list '^Fuzz' | grep '^Fuzz'); do \
			echo "$$package $$test"; go test ./$$package -run '^$$' -fuzz "^$$test\$$" -fuzztime 3s -parallel 2 || exit 1; \
		done; \
	done

.PHONY: typescript
typescript: ## Build and test the TypeScript client, and compile what other generators make of the API's document; needs Node 18
	go build -o bin/rolecall ./cmd/rolecall
	cd api/client/typescript && npm ci --ignore-scripts && npm run drift && npm test
	.ci/generators/run

.PHONY: manifests
manifests: ## Hold the files of deploy/ for Kubernetes and Compose against their own types
	go -C .ci/manifests build -o ../../bin/manifests .
	bin/manifests

.PHONY: bench
bench: ## Run the benchmarks, each beside its floor: first of the whole program, then of its parts
	go test -run '^$$' -bench . -benchtime 1x -count 1 ./cmd/rolecall/internal/bench
	go test -run '^$$' -bench . -benchtime 1x -count 1 $$(go list ./... | grep -v '/cmd/rolecall/internal/bench$$')

.PHONY: lint
lint: ## Run the linters
	$(TOOL) golangci-lint run ./...

.PHONY: fmt
fmt: ## Format the code
	$(TOOL) golangci-lint fmt ./...

.PHONY: generate
generate: schema ## Write the generated files: schema, queries, .env.example, the table of settings
	$(TOOL) sqlc generate -f store/sqlc.yaml
	go test ./cmd/rolecall -run 'TestGenerated' -count=1 -update

.PHONY: generate-typescript
generate-typescript: ## Write the TypeScript client's types from api/openapi.yaml; needs Node 18
	cd api/client/typescript && npm ci --ignore-scripts && npm run generate

.PHONY: schema
schema: ## Write migrations/schema.sql from the migrations
	go test ./migrations -run TestSchemaIsDescribed -count=1 -update

.PHONY: release-snapshot
release-snapshot: ## Build all that a release consists of, into dist, and publish nothing; needs goreleaser and cyclonedx-gomod
	.ci/snapshot
	.ci/reproducible

.PHONY: vulnerabilities
vulnerabilities: ## Look for known vulnerabilities in the code that the program calls; needs govulncheck
	.ci/vulnerabilities

.PHONY: verify
verify: ## Fail if generated code or go.mod is out of date
	$(TOOL) sqlc diff -f store/sqlc.yaml
	go mod tidy -diff
	go mod verify
