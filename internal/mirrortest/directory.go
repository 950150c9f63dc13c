package mirrortest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	clerksync "github.com/callmine/rolecall/sync"
)

// Directory is a small Clerk in memory, for what package clerksim, the faithful simulator, can't
// do. A test gives its objects any ids, dates and fields. So dates may contradict each other or lie
// in the future, and objects may be unreadable. A test adds and removes objects of every kind
// without a rule. The directory can answer as Clerk never should: with pages that have no ids or no
// end, or as if it ignored the cursor. It can fail any call at once with any error, without the
// client's retries. A test sets its fields only while no call is under way.
type Directory struct {
	InstanceID string
	Err        error // of every call
	Objects    map[clerksync.Resource][]map[string]any
	// Listing is called before each page is answered, without the lock. Its error fails the page.
	Listing func(clerksync.Resource, clerksync.PageRequest) error
	// Tamper changes a page before it is answered.
	Tamper func(clerksync.Resource, clerksync.PageRequest, *clerksync.Page)
	// Refusing is called with each look-up before it is answered, and may fail it.
	Refusing func(clerksync.Resource, clerksync.Reference) error
	Pages    []string // that were asked for
	Finds    []string // ids that were looked up

	mu sync.Mutex
}

// NewDirectory returns an empty directory of the instance [InstanceID].
func NewDirectory() *Directory {
	return &Directory{InstanceID: InstanceID, Objects: map[clerksync.Resource][]map[string]any{}}
}

// Populated returns a directory with some members of org_1.
func Populated(members int) *Directory {
	d := NewDirectory()
	for n := range members {
		d.Member(n, "org:member")
	}
	return d
}

// Set adds an object, or replaces it.
func (d *Directory) Set(r clerksync.Resource, object map[string]any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.Objects[r], func(o map[string]any) bool { return o["id"] == object["id"] })
	if i >= 0 {
		d.Objects[r][i] = object
		return
	}
	d.Objects[r] = append(d.Objects[r], object)
}

// Remove takes objects away.
func (d *Directory) Remove(r clerksync.Resource, ids ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Objects[r] = slices.DeleteFunc(d.Objects[r], func(o map[string]any) bool {
		id, _ := o["id"].(string) // or none
		return slices.Contains(ids, id)
	})
}

// Member makes the nth user a member of org_1. It adds that organization and that user, too.
func (d *Directory) Member(n int, role string) {
	d.Set(clerksync.ResourceOrganization, Organization("org_1"))
	d.Set(clerksync.ResourceUser, map[string]any{"id": fmt.Sprintf("user_%05d", n), "created_at": T0, "updated_at": T0, "banned": false})
	d.Set(clerksync.ResourceMembership, Membership(n, role, 0))
}

// Organization is an organization as Clerk shows it.
func Organization(id string) map[string]any {
	return map[string]any{"id": id, "name": "North", "slug": nil, "created_at": T0, "updated_at": T0}
}

// Membership is the membership of the nth user in org_1, as Clerk shows it. It was last updated so
// many milliseconds after [T0].
func Membership(n int, role string, after int64) map[string]any {
	return map[string]any{
		"id": fmt.Sprintf("orgmem_%05d", n), "role": role, "permissions": []string{}, "created_at": T0, "updated_at": T0 + after,
		"organization":     map[string]any{"id": "org_1", "name": "North"},
		"public_user_data": map[string]any{"user_id": fmt.Sprintf("user_%05d", n)},
	}
}

// Refuse makes the directory refuse the list of a kind, or only its pages from an offset on.
func (d *Directory) Refuse(kind clerksync.Resource, from int, err error) {
	d.Listing = func(r clerksync.Resource, p clerksync.PageRequest) error {
		if r == kind && p.Offset >= from {
			return err
		}
		return nil
	}
}

// Instance returns the instance of the directory.
func (d *Directory) Instance(context.Context) (clerksync.Instance, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return clerksync.Instance{ID: d.InstanceID, Environment: "development"}, d.Err
}

// List returns one page.
func (d *Directory) List(ctx context.Context, r clerksync.Resource, request clerksync.PageRequest) (clerksync.Page, error) {
	if d.Listing != nil {
		if err := d.Listing(r, request); err != nil {
			return clerksync.Page{}, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Err != nil || ctx.Err() != nil {
		return clerksync.Page{}, fmt.Errorf("%w: %w", d.Err, ctx.Err())
	}
	d.Pages = append(d.Pages, fmt.Sprintf("%s@%d%s", r, request.Offset, request.After))
	objects := d.Objects[r]
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
	if d.Tamper != nil {
		d.Tamper(r, request, &page)
	}
	return page, nil
}

// Find looks up one object.
func (d *Directory) Find(_ context.Context, r clerksync.Resource, ref clerksync.Reference) ([]json.RawMessage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Finds = append(d.Finds, ref.ID)
	if d.Refusing != nil {
		if err := d.Refusing(r, ref); err != nil {
			return nil, err
		}
	}
	var found []json.RawMessage
	for _, o := range d.Objects[r] {
		user, _ := o["public_user_data"].(map[string]any)
		if o["id"] == ref.ID || r == clerksync.ResourceMembership && ref.ID == "" && user["user_id"] == ref.UserID {
			raw, err := json.Marshal(o)
			if err != nil {
				return nil, err
			}
			found = append(found, raw)
		}
	}
	return found, d.Err
}

// UserMemberships looks up the memberships of a user.
func (d *Directory) UserMemberships(ctx context.Context, userID string) ([]json.RawMessage, error) {
	return d.Find(ctx, clerksync.ResourceMembership, clerksync.Reference{UserID: userID})
}
