package sync

import "slices"

// Role is what the mirror knows of a role of the Clerk instance. Roles belong to no organization.
//
// A role's key can change, and then Clerk tells of the role alone, not of each member who has it. So a role remembers
// every key that it ever had: a membership that names a former key has the role under its present one.
type Role struct {
	ID            string
	Key           Field[string] // canonical
	Keys          []string      // every key it ever had, sorted; only grows
	Name          Field[string]
	PermissionIDs Field[[]string] // perm_…
	Tombstone     Tombstone
}

// Registers lists the role's fields by name, for those who store their versions.
func (r *Role) Registers() []Register {
	return []Register{{"key", &r.Key.Version}, {"name", &r.Name.Version}, {"permission_ids", &r.PermissionIDs.Version}}
}

// Merge returns the least state that is at least as new as both.
func (r Role) Merge(in Role) Role {
	return Role{
		ID:            in.ID,
		Key:           r.Key.merge(in.Key),
		Keys:          union(r.Keys, in.Keys),
		Name:          r.Name.merge(in.Name),
		PermissionIDs: r.PermissionIDs.merge(in.PermissionIDs),
		Tombstone:     r.Tombstone.merge(in.Tombstone),
	}
}

// union returns the sorted union of two sets; nil if both are empty.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

func roleEvent(dec *decoder, data object) Facts {
	key := data.text("key")
	key.value = CanonicalRole(key.value)
	r := Role{
		ID: dec.id(data, "id", "role_"), Key: setStrict(dec, key), Name: setNonNull(dec, data.text("name")),
		Tombstone: dec.tombstone(),
	}
	if r.Key.Value != "" {
		r.Keys = []string{r.Key.Value}
	}
	facts := Facts{Subject: r.ID}
	nested := read[[]object](data, "permissions")
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
	ID        string
	Key       Field[string]
	Name      Field[string]
	Tombstone Tombstone
}

// Registers lists the permission's fields by name, for those who store their versions.
func (p *Permission) Registers() []Register {
	return []Register{{"key", &p.Key.Version}, {"name", &p.Name.Version}}
}

// Merge returns the least state that is at least as new as both.
func (p Permission) Merge(in Permission) Permission {
	return Permission{
		ID:        in.ID,
		Key:       p.Key.merge(in.Key),
		Name:      p.Name.merge(in.Name),
		Tombstone: p.Tombstone.merge(in.Tombstone),
	}
}

func permissionEvent(dec *decoder, data object) Facts {
	p := dec.permission(data)
	p.Tombstone = dec.tombstone()
	return Facts{Subject: p.ID, Permissions: []Permission{p}}
}

func (dec *decoder) permission(o object) Permission {
	return Permission{
		ID: dec.id(o, "id", "perm_"), Key: setStrict(dec, o.text("key")), Name: setNonNull(dec, o.text("name")),
	}
}
