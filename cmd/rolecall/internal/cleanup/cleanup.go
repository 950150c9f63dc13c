// Package cleanup ends what was started, in reverse. It guarantees that each step runs, also if an
// earlier one failed.
package cleanup

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Stack is a stack of steps, each of which ends one thing. It is not safe for concurrent use.
type Stack struct{ steps []step }

type step struct {
	name string
	end  func(context.Context) error
}

// Add puts a step on the stack. The step that was added last runs first.
func (c *Stack) Add(name string, end func(context.Context) error) {
	c.steps = append(c.steps, step{name, end})
}

// Run runs all steps, the newest first, and forgets them. Each runs even if others failed or ctx
// has ended.
func (c *Stack) Run(ctx context.Context) error {
	var errs []error
	for _, s := range slices.Backward(c.steps) {
		if err := s.end(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", s.name, err))
		}
	}
	c.steps = nil
	return errors.Join(errs...)
}
