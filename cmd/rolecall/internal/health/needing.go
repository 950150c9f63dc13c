package health

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"

	clerksync "github.com/callmine/rolecall/sync"
)

// needing returns how many workspaces have each need, as the last round found them; nil while
// nothing can be said of any workspace.
func (s Situation) needing() map[clerksync.Need]int64 {
	if _, changed := s.databaseChanged(); changed || s.LastClean == nil || s.Needs.EndedAt.IsZero() {
		return nil
	}
	counts := map[clerksync.Need]int64{}
	for _, need := range clerksync.Needs() {
		counts[need] = s.Needs.Counts[need]
	}
	return counts
}

// collectNeeding shows a gauge for each need. counts is nil if nothing is known.
func (c *Collector) collectNeeding(gauge func(d *prometheus.Desc, value float64, labels ...string), counts map[clerksync.Need]int64) {
	for _, need := range clerksync.Needs() {
		value := math.NaN()
		if counts != nil {
			value = float64(counts[need])
		}
		gauge(c.needing, value, string(need))
	}
}

// noManager: in some workspaces, no member can invite, promote or remove members.
func (s Situation) noManager() (Notice, bool) {
	n := s.needing()[clerksync.NeedNoManager]
	return Notice{
		NoticeNoManager, several(n, "workspace has", "workspaces have") + " no member who may manage members",
		"`rolecall workspaces --needs no_manager` lists them; make a member of each one its admin in Clerk's dashboard, or delete it there",
	}, n > 0
}
