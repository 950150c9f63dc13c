package sync_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	clerksync "github.com/callmine/rolecall/sync"
)

func TestLaw_AnyOrderWithRepeatsGivesTheOraclesState(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		history := genHistory(t)
		require.Equal(t, asJSON(t, oracle(history)), asJSON(t, view(t, play(t, shuffled(t, history)...))))
	})
}

func TestLaw_AnyTwoOrdersGiveOneState(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		history := genHistory(t)
		one, other := shuffled(t, history), shuffled(t, history)
		require.Equal(t, play(t, one...), play(t, other...), "versions included")
	})
}

func TestLaw_RepeatChangesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		history := genHistory(t)
		mirror := play(t, history...)
		state, changed, entries := apply(t, mirror, rapid.SampledFrom(history).Draw(t, "repeat"))
		require.Equal(t, clerksync.StateSuperseded, state)
		for _, e := range entries {
			require.True(t, e.Action.Restates(), "%+v", e) // which the log takes once
		}
		require.Equal(t, clerksync.NewMirror(), changed)
	})
}

func TestLaw_TombstoneAbsorbs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		mirror, dead := clerksync.NewMirror(), map[string]bool{}
		for _, m := range shuffled(t, genHistory(t)) {
			state, _, entries := apply(t, mirror, m)
			id := m.Data["id"].(string)
			if dead[id] {
				require.Equal(t, clerksync.StateSuperseded, state, "%s was gone", id)
				for _, e := range entries {
					require.False(t, id == e.Target && !e.Action.Restates(), "%s was gone", id)
				}
			}
			for id, object := range view(t, mirror) {
				require.False(t, dead[id] && object["dead"] == nil, "%s came back", id)
				dead[id] = dead[id] || object["dead"] != nil
			}
		}
	})
}

func TestLaw_NoVersionGoesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		mirror := clerksync.NewMirror()
		for _, m := range shuffled(t, genHistory(t)) {
			before := registers(mirror)
			apply(t, mirror, m)
			after := registers(mirror)
			for name, version := range before {
				require.LessOrEqual(t, version.Compare(after[name]), 0, name)
			}
		}
	})
}

func TestLaw_MergingGroupsIsMergingAll(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		history := shuffled(t, genHistory(t))
		cut := rapid.IntRange(0, len(history)).Draw(t, "cut")
		left, right := play(t, history[:cut]...), play(t, history[cut:]...)
		whole := play(t, history...)
		for id, m := range whole.Memberships {
			require.Equal(t, m, join(left.Memberships, right.Memberships, id))
			require.Equal(t, m, join(right.Memberships, left.Memberships, id))
		}
		for id, u := range whole.Users {
			require.Equal(t, u, join(left.Users, right.Users, id))
		}
		for id, o := range whole.Organizations {
			require.Equal(t, o, join(left.Organizations, right.Organizations, id))
		}
		for id, r := range whole.Roles {
			require.Equal(t, r, join(left.Roles, right.Roles, id))
		}
		for id, i := range whole.Invitations {
			require.Equal(t, i, join(left.Invitations, right.Invitations, id))
		}
	})
}

// join merges what two mirrors know of one object.
func join[T interface{ Merge(in T) T }](a, b map[string]T, id string) T {
	x, inA := a[id]
	y, inB := b[id]
	switch {
	case !inA:
		return y
	case !inB:
		return x
	default:
		return x.Merge(y)
	}
}

func registers(m clerksync.Mirror) map[string]clerksync.Version {
	out := map[string]clerksync.Version{}
	add := func(id string, registers []clerksync.Register) {
		for _, r := range registers {
			out[id+"."+r.Name] = *r.Version
		}
	}
	for id, o := range m.Organizations {
		add(id, o.Registers())
	}
	for id, u := range m.Users {
		add(id, u.Registers())
	}
	for id, s := range m.Memberships {
		add(id, s.Registers())
	}
	for id, i := range m.Invitations {
		add(id, i.Registers())
	}
	for id, d := range m.Domains {
		add(id, d.Registers())
	}
	for id, r := range m.Roles {
		add(id, r.Registers())
	}
	for id, p := range m.Permissions {
		add(id, p.Registers())
	}
	return out
}
