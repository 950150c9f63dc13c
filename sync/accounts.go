package sync

import "time"

// Accounts are users and roles of an instance as they were at an instant. The zero value takes the
// first entry of the instance's chain.
type Accounts struct {
	refused map[string]UserStatus // only users whom something is held against
	keys    map[string][]keyPoint // of roles by their ids
}

type keyPoint struct {
	at  time.Time
	key string
}

// Take takes the next entry of the instance's chain about a user or a role. The order matters among
// entries about the same one.
func (a *Accounts) Take(e LoggedEntry) error {
	is, given, err := e.read(e.After)
	if err != nil {
		return err
	}
	switch e.Action {
	case ActionRoleChanged, ActionRoleRestated:
		if is.Key != "" {
			if a.keys == nil {
				a.keys = map[string][]keyPoint{}
			}
			a.keys[e.Target] = append(a.keys[e.Target], keyPoint{e.At, is.Key})
		}
	case ActionUserBanned, ActionUserUnbanned, ActionUserDeprovisioned, ActionUserRestored, ActionUserDeleted, ActionUserRestated:
		status := a.refused[e.Target]
		if given {
			status = is.applied(status)
		} else {
			status = undetailed(e.Action, status)
		}
		if a.refused == nil {
			a.refused = map[string]UserStatus{}
		}
		a.refused[e.Target] = status
		if status.Refusal() == "" {
			delete(a.refused, e.Target)
		}
	default: // of a workspace
	}
	return nil
}

func (d details) applied(s UserStatus) UserStatus {
	for _, flag := range []struct {
		says *bool
		into *bool
	}{{d.Deleted, &s.Dead}, {d.Banned, &s.Banned}, {d.Deprovisioned, &s.Deprovisioned}} {
		if flag.says != nil {
			*flag.into = *flag.says
		}
	}
	return s
}

// undetailed returns the status after an entry from before entries about users had details.
func undetailed(a Action, s UserStatus) UserStatus {
	switch {
	case a == ActionUserDeleted:
		s.Dead = true
	case a == ActionUserRestored && s.Dead:
		s.Dead = false
	case a == ActionUserRestored:
		s.Deprovisioned = false
	case a == ActionUserDeprovisioned:
		s.Deprovisioned = true
	default:
		s.Banned = a == ActionUserBanned
	}
	return s
}

// role returns the key that a role has in the end, if an entry named it by a key at an instant. Of
// several roles that is the one that had taken the key last by then. If none had, it is the first
// one that ever had it. The events of a role and of a member may be stamped in the wrong order.
func (a *Accounts) role(key string, at time.Time) string {
	var named []keyPoint
	var since, first time.Time // when the named role took the key, by then and ever
	for _, points := range a.keys {
		held, ever := keyTaken(points, key, at)
		switch {
		case ever.IsZero() || held.IsZero() && !since.IsZero():
			continue
		case named == nil, held.After(since), held.IsZero() && ever.Before(first):
			named, since, first = points, held, ever
		}
	}
	if named == nil {
		return key
	}
	return named[len(named)-1].key
}

// keyTaken returns when a role took the key that it had at an instant, and when it ever had it
// first. Zero means that it hadn't.
func keyTaken(points []keyPoint, key string, at time.Time) (held, ever time.Time) {
	for _, p := range points {
		if p.key == key && ever.IsZero() {
			ever = p.at
		}
		switch {
		case p.at.After(at):
		case p.key == key:
			held = p.at
		default:
			held = time.Time{}
		}
	}
	return held, ever
}
