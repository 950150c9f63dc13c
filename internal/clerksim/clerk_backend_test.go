package clerksim_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/svixsim"
)

// clerkBackend is the folder with Clerk's own client for Node and the questions that it asks. `npm
// ci --ignore-scripts` there installs the client.
const clerkBackend = "../../.ci/clerk-backend"

// TestClerkBackend asks the simulator what applications ask Clerk, through Clerk's own client, and
// lets the client verify the webhooks and tokens. The questions are in conformance.mjs. The older
// client is the last one that asks in an earlier version of the API.
func TestClerkBackend(t *testing.T) {
	t.Parallel()
	pgtest.NeedsNode(t)
	for _, client := range []string{"@clerk/backend", "clerk-backend-2"} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			if _, err := os.Stat(clerkBackend + "/node_modules/" + client); err != nil {
				pgtest.Lacks(t, client)
			}
			answered := askThrough(t, client)
			listed := listedCalls(t)
			require.Subset(t, answered, listed.ofBoth)
			for _, call := range listed.ofNewest {
				require.Equal(t, client == "@clerk/backend", slices.Contains(answered, call), call)
			}
		})
	}
}

// askThrough returns the calls that were answered.
func askThrough(t *testing.T, client string) []string {
	t.Helper()
	w, err := clerksim.New(clerksim.Config{SigningKey: sharedKeys()[0]})
	require.NoError(t, err)
	busy := clerksim.NewAPIFaults()
	busy.FailWithRetryAfter(http.StatusTooManyRequests, "7", nil)
	secret := svixsim.NewSecret(rand.New(rand.NewPCG(1, 1)))

	node := exec.CommandContext(t.Context(), "node", "--test-reporter=spec", "conformance.mjs")
	node.Dir = clerkBackend
	node.Env = append(os.Environ(), "CLERK_BACKEND="+client,
		"CLERK_API_URL="+serve(t, w.Handler()), "CLERK_SECRET_KEY="+w.SecretKey(), "CLERK_PUBLISHABLE_KEY="+w.PublishableKey(),
		"CLERK_WEBHOOK_SIGNING_SECRET="+secret, "SIMULATOR_ISSUER="+w.Issuer(),
		"SIMULATOR_BUSY_URL="+serve(t, w.Handler(busy.Middleware)), "SIMULATOR_ENDPOINT_URL="+serve(t, sendingTo(t, w, secret)))
	printed, err := node.CombinedOutput()
	require.NoError(t, err, "%s", printed)
	require.Contains(t, string(printed), "fail 0")
	answered := regexp.MustCompile(`(?m)^answered: ([\w ]+)\.$`).FindSubmatch(printed)
	require.NotNil(t, answered, "%s", printed)
	return strings.Fields(string(answered[1]))
}

func serve(t *testing.T, handler http.Handler) (url string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// sendingTo returns a handler that takes a URL, and sends the world's webhooks there until the test
// ends.
func sendingTo(t *testing.T, w *clerksim.World, secret string) http.Handler {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	var couriers sync.WaitGroup
	t.Cleanup(func() {
		end()
		couriers.Wait()
	})
	return http.HandlerFunc(func(answer http.ResponseWriter, req *http.Request) {
		url, err := io.ReadAll(req.Body)
		if err != nil {
			http.Error(answer, err.Error(), http.StatusBadRequest)
			return
		}
		courier, err := svixsim.NewCourier(svixsim.CourierConfig{Endpoints: []svixsim.Endpoint{{URL: string(url), Secrets: []string{secret}}}})
		if err != nil {
			http.Error(answer, err.Error(), http.StatusBadRequest)
			return
		}
		couriers.Go(func() {
			defer courier.Close()
			_ = courier.Run(ctx, w) // ends with ctx
		})
		answer.WriteHeader(http.StatusNoContent)
	})
}

// calls are those that docs/simulator.md lists.
type calls struct{ ofBoth, ofNewest []string }

func listedCalls(t *testing.T) (listed calls) {
	t.Helper()
	document, err := os.ReadFile("../../docs/simulator.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(document), "| of `clerk` | calls |")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if len(cells) != 4 {
			continue
		}
		for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(cells[2], -1) {
			if strings.Contains(cells[1], "version 3 only") {
				listed.ofNewest = append(listed.ofNewest, name[1])
			} else {
				listed.ofBoth = append(listed.ofBoth, name[1])
			}
		}
	}
	return listed
}

// TestClerkBackend_DocumentListsTheCalls: docs/simulator.md has those that the client is asked for,
// and no others. Calls that must be refused are not among them.
func TestClerkBackend_DocumentListsTheCalls(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile(clerkBackend + "/conformance.mjs")
	require.NoError(t, err)
	var asked []string
	for _, call := range regexp.MustCompile(`(\(\) => )?\bclerk\.\w+\.(\w+)\(`).FindAllStringSubmatch(string(script), -1) {
		if call[1] == "" && !slices.Contains(asked, call[2]) {
			asked = append(asked, call[2])
		}
	}
	listed := listedCalls(t)
	unique := slices.Compact(slices.Sorted(slices.Values(slices.Concat(listed.ofBoth, listed.ofNewest))))
	require.ElementsMatch(t, asked, unique)
}
