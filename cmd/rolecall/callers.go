package main

import (
	"context"

	"github.com/callmine/rolecall/edge"
)

// guard returns what bounds the callers of a listener. Each listener has one of its own, so that a flood of the public one
// turns nothing red.
func (p *program) guard(listener string) *edge.Guard {
	return edge.NewGuard(edge.Config{Cut: func(cause edge.Cause) {
		p.metrics.cut.WithLabelValues(string(cause)).Inc()
		if suppressed, write := p.lines.Take("cut " + listener + " " + string(cause)); write {
			p.logger.WarnContext(context.Background(), "too many callers at once: those that took the most were cut",
				"listener", listener, "cause", cause, "suppressed", suppressed)
		}
	}})
}
