package playground

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHistory_KeepsTheNewest of many things that happened.
func TestHistory_KeepsTheNewest(t *testing.T) {
	t.Parallel()
	p := &Playground{history: newHistory()}
	for range 3 * kept {
		p.acted(row{Title: "old"})
		p.decided(Decision{Person: "old"})
	}
	p.acted(row{Title: "new"})
	p.decided(Decision{Person: "new"})
	actions, decisions, _ := p.history.all()
	require.Len(t, actions, kept)
	require.Len(t, decisions, kept)
	require.Equal(t, "new", actions[kept-1].Title)
	require.Equal(t, "new", decisions[kept-1].Person)
}
