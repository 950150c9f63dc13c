package sync

import (
	"maps"
	"slices"
)

// Role is what the mirror knows of a role of the Clerk instance. Roles belong to no organization.
//
// A role's key can change. Clerk then sends an event of the role alone, not of each member who has
// it. So a role remembers every key that it ever had, and when. A membership that names a former
// key has this role. The exception: another role had taken that key before the membership was
// written.
type Role struct {
	Reference
	Tombstone

	Key           Field[string]      // canonical
	Keys          map[string][]int64 // every key it ever had, and when events showed it, in sorted epoch milliseconds
	Name          Field[string]
	PermissionIDs Field[[]string] // perm_…
}

// Registers lists the role's fields by name with their versions, as the store needs them.
func (r *Role) Registers() []Register {
	return []Register{{"key", &r.Key.Version}, {"name", &r.Name.Version}, {"permission_ids", &r.PermissionIDs.Version}}
}

// Merge returns the least state that is at least as new as both: of each field the newer value.
func (r Role) Merge(in Role) Role {
	return Role{
		Reference: r.Reference.merge(in.Reference),
		Tombstone: r.Tombstone.merge(in.Tombstone),

		Key:           r.Key.merge(in.Key),
		Keys:          union(r.Keys, in.Keys),
		Name:          r.Name.merge(in.Name),
		PermissionIDs: r.PermissionIDs.merge(in.PermissionIDs),
	}
}

// withoutHistory returns the role without the keys that it had.
func (r Role) withoutHistory() Role {
	r.Keys = nil
	return r
}

// movesRoles reports whether the change to another state may give members another role or other
// permissions.
func (r Role) movesRoles(after Role) bool {
	return r.Known() && (after.Dead() || r.Key.Value != after.Key.Value ||
		!slices.Equal(r.PermissionIDs.Value, after.PermissionIDs.Value))
}

// union returns, for each key, the sorted union of its instants; nil if there are none.
func union(a, b map[string][]int64) map[string][]int64 {
	if len(b) == 0 {
		return a
	}
	all := maps.Clone(a)
	if all == nil {
		all = map[string][]int64{}
	}
	for key, instants := range b {
		both := slices.Concat(all[key], instants)
		slices.Sort(both)
		all[key] = slices.Compact(both)
	}
	return all
}

func roleEvent(dec *decoder, data object) Facts {
	key := data.text("key")
	key.value = CanonicalRole(key.value)
	r := Role{
		Reference: Reference{ID: dec.id(data, "id", RolePrefix)}, Tombstone: dec.tombstone(),
		Key: setStrict(dec, key), Name: setNonNull(dec, data.text("name")),
	}
	if r.Key.Value != "" {
		r.Keys = map[string][]int64{r.Key.Value: {dec.version.UpdatedAt}}
	}
	facts := Facts{Subject: r.ID}
	nested := data.objects("permissions")
	ids := member[[]string]{value: []string{}, present: nested.present, null: nested.null, err: nested.err}
	for _, o := range nested.value {
		p := dec.stub().permission(o)
		facts.Permissions = append(facts.Permissions, p)
		ids.value = append(ids.value, p.ID)
	}
	slices.Sort(ids.value) // Clerk promises no order
	r.PermissionIDs = setStrict(dec, ids)
	facts.Roles = []Role{r}
	return facts
}

// Permission is what the mirror knows of a permission of the Clerk instance.
type Permission struct {
	Reference
	Tombstone

	Key  Field[string]
	Name Field[string]
}

// Registers lists the permission's fields by name with their versions, as the store needs them.
func (p *Permission) Registers() []Register {
	return []Register{{"key", &p.Key.Version}, {"name", &p.Name.Version}}
}

// Merge returns the least state that is at least as new as both: of each field the newer value.
func (p Permission) Merge(in Permission) Permission {
	return Permission{
		Reference: p.Reference.merge(in.Reference),
		Tombstone: p.Tombstone.merge(in.Tombstone),

		Key:  p.Key.merge(in.Key),
		Name: p.Name.merge(in.Name),
	}
}

func permissionEvent(dec *decoder, data object) Facts {
	p := dec.permission(data)
	p.Tombstone = dec.tombstone()
	return Facts{Subject: p.ID, Permissions: []Permission{p}}
}

func (dec *decoder) permission(o object) Permission {
	return Permission{
		Reference: Reference{ID: dec.id(o, "id", PermissionPrefix)},
		Key:       setStrict(dec, o.text("key")), Name: setNonNull(dec, o.text("name")),
	}
}
