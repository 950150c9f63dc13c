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
			askThrough(t, client)
		})
	}
}

func askThrough(t *testing.T, client string) {
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

// TestClerkBackend_DocumentListsTheCalls: docs/simulator.md has those that the client is asked for,
// and no others. Calls that must be refused are not among them.
func TestClerkBackend_DocumentListsTheCalls(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile(clerkBackend + "/conformance.mjs")
	require.NoError(t, err)
	asked := map[string]bool{}
	for _, call := range regexp.MustCompile(`(\(\) => )?\bclerk\.\w+\.(\w+)\(`).FindAllStringSubmatch(string(script), -1) {
		if call[1] == "" {
			asked[call[2]] = true
		}
	}
	document, err := os.ReadFile("../../docs/simulator.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(document), "| of `clerk` | calls |")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	listed := map[string]bool{}
	for row := range strings.Lines(table) {
		if cells := strings.Split(row, "|"); len(cells) == 4 {
			for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(cells[2], -1) {
				listed[name[1]] = true
			}
		}
	}
	require.Equal(t, asked, listed)
}
