package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// cleanup is a stack of what has to be ended. It is not safe for concurrent use.
type cleanup struct{ steps []step }

type step struct {
	name string
	end  func(context.Context) error
}

// add puts a step on the stack: what was started last ends first.
func (c *cleanup) add(name string, end func(context.Context) error) {
	c.steps = append(c.steps, step{name, end})
}

// run ends everything, the newest first, each also if others fail or ctx has ended, and forgets it.
func (c *cleanup) run(ctx context.Context) error {
	var errs []error
	for _, s := range slices.Backward(c.steps) {
		if err := s.end(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", s.name, err))
		}
	}
	c.steps = nil
	return errors.Join(errs...)
}
