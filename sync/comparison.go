package sync

import "maps"

// Comparison is how the mirror differs from what Clerk's API showed.
type Comparison struct {
	Unknown      []Facts         // facts that the mirror doesn't know yet and accepts
	Contradicted map[string]bool // ids of subjects that have other values here, which stay because their versions are newer
}

// Compare compares the mirror with facts that Clerk's API showed. It changes neither.
func (m Mirror) Compare(facts []Facts) Comparison {
	merged := m.clone()
	c := Comparison{Contradicted: map[string]bool{}}
	known := map[string]bool{} // subjects; nothing contradicts an object that is new
	for _, f := range facts {
		changed := NewMirror()
		if merged.apply(application{observed: true}, f, changed).known {
			known[f.Subject] = true
		}
		if unknown := f.of(changed); !unknown.empty() {
			c.Unknown = append(c.Unknown, unknown)
		}
	}
	for _, f := range facts {
		if !known[f.Subject] {
			continue
		}
		if j := merged.Judge(f, Circumstances{}); j.Behind || j.Overruling.Subject != "" {
			c.Contradicted[f.Subject] = true
		}
	}
	return c
}

// clone returns a copy that can be changed without changing this mirror. Objects are values, so
// copies of the maps are enough.
func (m Mirror) clone() Mirror {
	return Mirror{
		Organizations: maps.Clone(m.Organizations), Users: maps.Clone(m.Users), Memberships: maps.Clone(m.Memberships),
		Invitations: maps.Clone(m.Invitations), Domains: maps.Clone(m.Domains), Roles: maps.Clone(m.Roles),
		Permissions: maps.Clone(m.Permissions),
	}
}
