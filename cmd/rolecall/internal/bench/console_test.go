package bench_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// largePages are pages of the console and what they show of the large instance. The first ones are
// those that people keep open.
func largePages() []struct{ name, path string } {
	big, small := "/workspaces/"+largeID("org", 0), "/workspaces/"+largeID("org", 5)
	return []struct{ name, path string }{
		{"Status", "/"},
		{"Deliveries", "/deliveries"},
		{"Workspaces", "/workspaces"},
		{"a workspace of 10 members", small},
		{"Audit, a workspace of 100,000 members", "/audit?workspace=" + largeID("org", 0)},
		{"a workspace of 100,000 members", big},
		{"its members", big + "/members"},
		{"Can …?", big + "/can?user=" + largeID("user", 3) + "&permission=billing:manage"},
		{"workspaces that need attention", "/workspaces/attention"},
		{"a search for workspaces", "/workspaces?q=verity"},
		{"a search for users", "/users?q=olsen"},
		{"a user in 5,000 workspaces", "/users/" + largeID("user", 1)},
		{"deliveries of a workspace", "/deliveries?workspace=" + largeID("org", 5)},
		{"a delivery", "/deliveries/msg_1" + fmt.Sprintf("%026d", largest().deliveries-1)},
		{"access review of a workspace of 10 members", "/audit/access-review?workspace=" + largeID("org", 5)},
		{"access review of a history too long for a page", "/audit/access-review?workspace=" + largeID("org", 0)},
		{"Sweeps", "/sweeps"},
		{"Jobs", "/jobs/api/jobs?state=completed&limit=20"},
	}
}

// largeCommands are support's commands.
func largeCommands() [][]string {
	return [][]string{
		{"status"},
		{"workspaces", "--search", "acme"},
		{"members", largeID("org", 0)},
		{"user", largeID("user", 3)},
		{"why", "ada.abel0@abel0.example", "acme-labs-0", "members:manage"},
		{"deliveries", "list"},
		{"deliveries", "list", "--workspace", largeID("org", 5)},
		{"access-review", "--workspace", largeID("org", 5), "--csv"},
		{"audit", "list", "--workspace", largeID("org", 0)},
	}
}

// console measures the console of a large instance: what it costs others, and how fast it is.
func (s *suite) console(b *testing.B) {
	url := largeURL(b, largest())
	c := startClerk(b)
	p := s.serve(b, c, url)
	spent := newCost(b, p, connect(b, url))
	b.Run("busy", func(b *testing.B) { s.busy(b, p, newTraffic(b, c, p, connect(b, url)), spent) })
	for _, page := range largePages() {
		b.Run("page="+page.name, func(b *testing.B) { s.loadPage(b, p, spent, page.name, page.path) })
	}
	for _, args := range largeCommands() {
		command := "rolecall " + strings.Join(args, " ")
		b.Run(command, func(b *testing.B) {
			s.milliseconds(b, "5 million memberships: `"+command+"`", func(int) error {
				cmd := exec.CommandContext(b.Context(), s.binary, args...)
				cmd.Env = append(os.Environ(), "DATABASE_URL="+url)
				out, err := cmd.CombinedOutput()
				if err != nil {
					err = fmt.Errorf("%s: %w: %s", command, err, out)
				}
				return err
			})
		})
	}
}

// largeID is an id of the large instance. The first users are admins of the workspaces with their
// number.
func largeID(prefix string, number int) string { return fmt.Sprintf("%s_2%026d", prefix, number) }

// loads are how often a page is loaded to measure it.
const loads = 100

// loadPage measures a page that one person loads again and again, the first time from cold caches.
func (s *suite) loadPage(b *testing.B, p *program, spent cost, name, path string) {
	b.Helper()
	load := newAskers(b, p.admin, 1, func(ctx context.Context, _ int) (*http.Request, error) { return atConsole(ctx, p, path) })[0]
	var took []float64
	before := spent.processorTime(b)
	for b.Loop() {
		for range loads {
			began := time.Now()
			_, err := load.ask(b.Context())
			require.NoError(b, err)
			took = append(took, float64(time.Since(began).Microseconds())/1000)
		}
	}
	used := spent.processorTime(b).minus(before)
	b.ReportMetric(median(took), "ms/page")
	b.ReportMetric(0, "ns/op")
	s.table.add("console, 5 million memberships: "+name, "–", fmt.Sprintf("p50 %.1f ms, slowest %.1f ms", median(took), slices.Max(took)), "–")
	s.table.add("the same, processor time of a page", "–", used.each(len(took)), "–")
}

// atConsole makes a GET of a page. The console answers to the names of this machine only.
func atConsole(ctx context.Context, p *program, path string) (*http.Request, error) {
	return http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+path, http.NoBody)
}
