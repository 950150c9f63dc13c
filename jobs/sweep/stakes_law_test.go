package sweep

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestLaw_ComparedByPages_AsAtOnce: over random mirrors and listings, pages of any size find the
// same as one statement over everything. A sweep that is cut off after any page does, too.
func TestLaw_ComparedByPages_AsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn, err := b.Pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, conn: conn}
		w.exec("BEGIN")
		defer w.exec("ROLLBACK")
		w.fill()
		w.requireUnlisted()
		w.requireTombstones()
		w.requireDependents(clerksync.ResourceOrganization, w.id("org"))
		w.requireDependents(clerksync.ResourceUser, w.id("user"))
		w.requireStakes()
	})
}

// world is a random mirror, of which a random part was listed in a sweep.
type world struct {
	t     *rapid.T
	conn  *pgxpool.Conn
	sweep store.Sweep
}

func (w *world) fill() {
	if rapid.Bool().Draw(w.t, "one organization") {
		w.sweep.OrganizationID = "org_1"
	}
	w.sweep.Progress, w.sweep.Report = []byte(`{"listed":true}`), []byte(`{}`)
	s, err := store.StartSweep(context.Background(), w.conn, w.sweep, false)
	require.NoError(w.t, err)
	w.sweep = s
	w.add("organization", "org", 4, "", nil)
	w.add("user", "user", 4, "", nil)
	w.add("role", "role", 3, "", nil)
	w.add("permission", "perm", 3, "", nil)
	w.add("invitation", "orginv", 5, "organization_id", func() []string { return []string{w.id("org")} })
	w.add("domain", "orgdmn", 3, "organization_id", func() []string { return []string{w.id("org")} })
	w.add("membership", "orgmem", 25, "organization_id, user_id", func() []string { return []string{w.id("org"), w.id("user")} })
}

// add adds up to n objects of a kind, and lists some of them. Their parents may be unknown.
func (w *world) add(kind, prefix string, n int, columns string, values func() []string) {
	for i := range rapid.IntRange(0, n).Draw(w.t, kind+"s") {
		id := fmt.Sprintf("%s_%d", prefix, i)
		changed := w.sweep.StartedAt.Add(rapid.SampledFrom([]time.Duration{-time.Hour, -time.Hour, -time.Hour, time.Second}).Draw(w.t, "changed"))
		happened := w.sweep.StartedAt.Add(rapid.SampledFrom([]time.Duration{-time.Second, time.Second}).Draw(w.t, "happened"))
		into := "id, changed_at, deleted_at, deleted_received_at, version"
		at := []any{id, changed, nil, nil, fmt.Sprintf(`{"u": %d}`, happened.UnixMilli())}
		if rapid.IntRange(0, 4).Draw(w.t, "fate") == 0 {
			at[2] = w.sweep.StartedAt.Add(-2 * time.Hour)
			if rapid.Bool().Draw(w.t, "received") {
				at[3] = changed
			}
		}
		if columns != "" {
			into += ", " + columns
			for _, v := range values() {
				at = append(at, v)
			}
		}
		marks := make([]string, len(at))
		for i := range marks {
			marks[i] = fmt.Sprintf("$%d", i+1)
		}
		w.exec("INSERT INTO rolecall."+kind+"s ("+into+") VALUES ("+strings.Join(marks, ", ")+")", at...)
		if rapid.IntRange(0, 2).Draw(w.t, "listed") > 0 {
			_, err := store.MarkListed(context.Background(), w.conn, w.sweep, clerksync.Resource(kind), []string{id})
			require.NoError(w.t, err)
		}
	}
}

// id returns the id of an object that may not exist.
func (w *world) id(prefix string) string {
	return fmt.Sprintf("%s_%d", prefix, rapid.IntRange(0, 4).Draw(w.t, prefix))
}

func (w *world) exec(sql string, args ...any) {
	_, err := w.conn.Exec(context.Background(), sql, args...)
	require.NoError(w.t, err)
}

func (w *world) pageSize() int { return rapid.IntRange(1, 7).Draw(w.t, "page") }

func (w *world) requireUnlisted() {
	for _, kind := range clerksync.Resources() {
		var found []clerksync.Reference
		since := rapid.SampledFrom([]time.Time{{}, w.sweep.StartedAt.Add(-time.Minute)}).Draw(w.t, "since")
		for after, limit := "", w.pageSize(); ; {
			refs, last, err := store.Unlisted(context.Background(), w.conn, w.sweep, kind, since, after, limit)
			require.NoError(w.t, err)
			require.LessOrEqual(w.t, len(refs), limit)
			found = append(found, refs...)
			if last == "" {
				break
			}
			require.Greater(w.t, last, after)
			after = last
		}
		require.ElementsMatch(w.t, atOnce[clerksync.Reference](w.t, w.conn, w.sweep, unlistedAtOnce, w.sweep.OrganizationID, string(kind), since), found, kind)
	}
}

func (w *world) requireTombstones() {
	for _, kind := range clerksync.Resources() {
		var found []clerksync.Reference
		for after, limit := "", w.pageSize(); ; {
			tombstones, last, err := store.ListedTombstones(context.Background(), w.conn, w.sweep, kind, after, limit)
			require.NoError(w.t, err)
			for _, d := range tombstones {
				found = append(found, d.Reference)
			}
			if last == "" {
				break
			}
			require.Greater(w.t, last, after)
			after = last
		}
		require.ElementsMatch(w.t, atOnce[clerksync.Reference](w.t, w.conn, w.sweep, tombstonesAtOnce, string(kind)), found, kind)
	}
}

type countOfKind struct {
	Resource clerksync.Resource
	Count    int
}

func (w *world) requireDependents(kind clerksync.Resource, id string) {
	want := map[clerksync.Resource]int{kind: 1}
	for _, c := range atOnce[countOfKind](w.t, w.conn, w.sweep, dependentsAtOnce, id) {
		want[c.Resource] = c.Count
	}
	found := untilDone(w, func(ctx context.Context, c *confirmer) (map[clerksync.Resource]int, error) {
		return c.countGone(ctx, kind, clerksync.Reference{ID: id})
	})
	maps.DeleteFunc(found, func(_ clerksync.Resource, n int) bool { return n == 0 })
	require.Equal(w.t, want, found, id)
	w.exec("UPDATE rolecall.sweeps SET progress = $1", string(w.sweep.Progress))
}

type stakesOfAll struct{ Live, AtStake int }

func (w *world) requireStakes() {
	counted := untilDone(w, func(ctx context.Context, c *confirmer) (tally, error) {
		return c.countStakes(ctx, w.sweep.OrganizationID)
	})
	all := atOnce[stakesOfAll](w.t, w.conn, w.sweep, membershipsAtOnce, w.sweep.OrganizationID)
	found := stakesOfAll{counted.Live, counted.AtStake}
	require.Equal(w.t, all[0], found)
	want := atOnce[Stake](w.t, w.conn, w.sweep, stakesAtOnce, w.sweep.OrganizationID, maxStakes)
	require.Equal(w.t, want, append([]Stake{}, counted.most()...))
}

// untilDone asks a sweep that is cut off after a random number of pages, again and again.
func untilDone[R any](w *world, ask func(context.Context, *confirmer) (R, error)) R {
	for {
		ctx, cancel := context.WithCancel(context.Background())
		saved, err := store.FindSweep(ctx, w.conn, w.sweep.Name())
		require.NoError(w.t, err)
		r := newRun(Config{examined: w.pageSize()}, Options{}, w.conn)
		require.NoError(w.t, r.resume(saved))
		pages := rapid.IntRange(1, 5).Draw(w.t, "pages")
		r.opts.Progress = func(Progress) {
			if pages--; pages == 0 {
				cancel()
			}
		}
		found, err := ask(ctx, r.confirmer)
		cancel()
		if err == nil {
			return found
		}
		require.ErrorIs(w.t, err, context.Canceled)
	}
}
