package sync

import "maps"

// Comparison is how the mirror differs from what Clerk's API showed.
type Comparison struct {
	Unknown      []Facts         // what the mirror doesn't know yet, and takes
	Contradicted map[string]bool // ids of the subjects of which the mirror has other values, and keeps them because of their versions
}

// Compare compares the mirror with facts that Clerk's API showed. It changes neither.
func (m Mirror) Compare(facts []Facts) Comparison {
	merged := m.clone()
	c := Comparison{Contradicted: map[string]bool{}}
	for _, f := range facts {
		changed := NewMirror()
		merged.apply(application{observed: true}, f, changed)
		if unknown := f.of(changed); !unknown.empty() {
			c.Unknown = append(c.Unknown, unknown)
		}
	}
	for _, f := range facts {
		if j := merged.Judge(f, Circumstances{}); j.Behind || j.Overruling.Subject != "" {
			c.Contradicted[f.Subject] = true
		}
	}
	return c
}

// clone returns a mirror that can be changed without changing this one. Objects are values, so they
// aren't copied deeper.
func (m Mirror) clone() Mirror {
	return Mirror{
		Organizations: maps.Clone(m.Organizations), Users: maps.Clone(m.Users), Memberships: maps.Clone(m.Memberships),
		Invitations: maps.Clone(m.Invitations), Domains: maps.Clone(m.Domains), Roles: maps.Clone(m.Roles),
		Permissions: maps.Clone(m.Permissions),
	}
}
