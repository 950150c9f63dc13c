package playground

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/callmine/rolecall/internal/simulator"
)

const (
	// kept bounds what is remembered of each sort: far more than the panel shows.
	kept = 500
	// panelTime is how long an open panel waits for something to happen before it reads itself again.
	panelTime = time.Second
)

// history is what the panel remembers: what people did here, and the decisions that followed.
type history struct {
	mu        sync.Mutex
	since     time.Time // what was before isn't shown
	actions   []row
	decisions []Decision
	changed   chan struct{} // closed at the next change
	switching sync.Mutex    // held by the one who turns switches
}

func newHistory() *history {
	return &history{since: time.Now().Truncate(time.Millisecond), changed: make(chan struct{})}
}

// acted remembers what somebody has done just now.
func (p *Playground) acted(r row) {
	r.Done = time.Now()
	p.history.note(func(h *history) { h.actions = last(append(h.actions, r)) })
}

func (p *Playground) decided(d Decision) {
	p.history.note(func(h *history) { h.decisions = last(append(h.decisions, d)) })
}

func (h *history) note(change func(*history)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(h)
	close(h.changed)
	h.changed = make(chan struct{})
}

// last returns the newest items that are kept.
func last[T any](all []T) []T { return all[max(0, len(all)-kept):] }

// all returns copies of what is remembered, and a channel that is closed at the next change.
func (h *history) all() ([]row, []Decision, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.actions), slices.Clone(h.decisions), h.changed
}

// panel is what the panel shows.
type panel struct {
	Rows     []row
	Waiting  bool // a job will change them, which nothing tells
	Brief    bool // it stands beside a page, and nobody has turned to its switches yet
	Faults   []fault
	Switches simulator.Switches
	Scene    scene
}

// showPanel answers with the panel. It waits for something to happen if it is asked for what is
// next.
func showPanel(v *visit) error {
	if v.r.FormValue("next") != "" {
		_, _, happened := v.p.history.all()
		select {
		case <-happened:
		case <-v.p.cfg.Simulator.Changed():
		case <-time.After(panelTime):
		case <-v.r.Context().Done():
		}
	}
	shown := panel{Switches: v.p.cfg.Simulator.Switches(), Scene: v.p.scene()}
	shown.Faults = faults(&shown.Switches)
	shown.Brief = v.r.FormValue("beside") != "" && !slices.ContainsFunc(shown.Faults, fault.On)
	shown.Rows, shown.Waiting = v.p.rows(v.r.Context())
	return v.show(http.StatusOK, "panel", "What just happened", shown)
}
