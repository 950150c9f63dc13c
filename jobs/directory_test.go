package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

// directory is a small Clerk in memory, in which a test can go wrong whatever it likes. Package clerksim has the faithful one.
type directory struct {
	mu       sync.Mutex
	instance string
	err      error // of every call
	objects  map[clerksync.Resource][]map[string]any
	// listing is told of each page before it is answered, without the lock, and may fail it.
	listing func(clerksync.Resource, clerksync.PageRequest) error
	// tamper changes a page before it is answered.
	tamper func(clerksync.Resource, clerksync.PageRequest, *clerksync.Page)
	// finding is told of each look-up before it is answered, without the lock.
	finding func(clerksync.Resource, clerksync.Reference)
	// refusing may fail a look-up, which is told of before.
	refusing func(clerksync.Resource, clerksync.Reference) error
	pages    []string // that were asked for
	finds    []string
}

func newDirectory() *directory {
	return &directory{instance: ownInstance, objects: map[clerksync.Resource][]map[string]any{}}
}

// set puts an object there, or another state of it.
func (d *directory) set(r clerksync.Resource, object map[string]any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.objects[r], func(o map[string]any) bool { return o["id"] == object["id"] })
	if i >= 0 {
		d.objects[r][i] = object
		return
	}
	d.objects[r] = append(d.objects[r], object)
}

func (d *directory) remove(r clerksync.Resource, ids ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.objects[r] = slices.DeleteFunc(d.objects[r], func(o map[string]any) bool { return slices.Contains(ids, o["id"].(string)) })
}

// member adds a member to an organization, both of which are there then.
func (d *directory) member(n int, role string) {
	d.set(clerksync.ResourceOrganization, organizationObject("org_1"))
	d.set(clerksync.ResourceUser, map[string]any{"id": fmt.Sprintf("user_%05d", n), "created_at": t0, "updated_at": t0, "banned": false})
	d.set(clerksync.ResourceMembership, membershipObject(n, role, 0))
}

func organizationObject(id string) map[string]any {
	return map[string]any{"id": id, "name": "North", "slug": nil, "created_at": t0, "updated_at": t0}
}

func membershipObject(n int, role string, after int64) map[string]any {
	return map[string]any{
		"id": fmt.Sprintf("orgmem_%05d", n), "role": role, "permissions": []string{}, "created_at": t0, "updated_at": t0 + after,
		"organization":     map[string]any{"id": "org_1", "name": "North"},
		"public_user_data": map[string]any{"user_id": fmt.Sprintf("user_%05d", n)},
	}
}

func (d *directory) Instance(context.Context) (clerksync.Instance, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return clerksync.Instance{ID: d.instance, Environment: "development"}, d.err
}

func (d *directory) List(ctx context.Context, r clerksync.Resource, request clerksync.PageRequest) (clerksync.Page, error) {
	if d.listing != nil {
		if err := d.listing(r, request); err != nil {
			return clerksync.Page{}, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil || ctx.Err() != nil {
		return clerksync.Page{}, fmt.Errorf("%w: %w", d.err, ctx.Err())
	}
	d.pages = append(d.pages, fmt.Sprintf("%s@%d%s", r, request.Offset, request.After))
	objects := d.objects[r]
	from := min(request.Offset, len(objects))
	if request.After != "" {
		from = slices.IndexFunc(objects, func(o map[string]any) bool { return o["id"] == request.After }) + 1
		if from == 0 {
			return clerksync.Page{}, clerksync.ErrCursorGone
		}
	}
	page := clerksync.Page{Total: len(objects)}
	for _, o := range objects[from:min(from+request.Limit, len(objects))] {
		raw, err := json.Marshal(o)
		if err != nil {
			return clerksync.Page{}, err
		}
		page.Objects = append(page.Objects, raw)
	}
	if d.tamper != nil {
		d.tamper(r, request, &page)
	}
	return page, nil
}

func (d *directory) Find(_ context.Context, r clerksync.Resource, ref clerksync.Reference) ([]json.RawMessage, error) {
	if d.finding != nil {
		d.finding(r, ref)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.finds = append(d.finds, ref.ID)
	if d.refusing != nil {
		if err := d.refusing(r, ref); err != nil {
			return nil, err
		}
	}
	var found []json.RawMessage
	for _, o := range d.objects[r] {
		user, _ := o["public_user_data"].(map[string]any)
		if o["id"] == ref.ID || r == clerksync.ResourceMembership && ref.ID == "" && user["user_id"] == ref.UserID {
			raw, err := json.Marshal(o)
			if err != nil {
				return nil, err
			}
			found = append(found, raw)
		}
	}
	return found, d.err
}

// sweeper returns a sweeper of the directory into the bundle's database.
func (b *bundle) sweeper(t *testing.T, d Directory) *Sweeper {
	t.Helper()
	s, err := NewSweeper(SweeperConfig{Pool: b.pool, Directory: d, Logger: b.logs.logger(), Settle: 50 * time.Millisecond})
	require.NoError(t, err)
	return s
}

// sweep sweeps once, which must succeed.
func (b *bundle) sweep(t *testing.T, d Directory, opts SweepOptions) SweepReport {
	t.Helper()
	var report SweepReport
	var err error
	eventually(t, func() bool { // Postgres takes a moment to see that the connection of one that was cut off is gone
		report, err = b.sweeper(t, d).Run(t.Context(), opts)
		return !errors.Is(err, ErrSweepRunning)
	})
	require.NoError(t, err)
	return report
}

// roles returns the role of each live membership.
func (b *bundle) roles(t *testing.T) map[string]string {
	t.Helper()
	rows, err := b.pool.Query(t.Context(), "SELECT id, role FROM rolecall.live_members")
	require.NoError(t, err)
	roles := map[string]string{}
	var id, role string
	for rows.Next() {
		require.NoError(t, rows.Scan(&id, &role))
		roles[id] = role
	}
	require.NoError(t, rows.Err())
	return roles
}

// deliver applies a delivery at once, as if it had come now.
func (b *bundle) deliver(t *testing.T, d clerksync.Delivery) {
	t.Helper()
	d.ReceivedAt = time.Now()
	b.insert(t, d)
	_, err := b.apply(t.Context(), d.ID)
	require.NoError(t, err)
}
