package console

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// changeTime bounds a change, its audit entry included.
const changeTime = 10 * time.Second

// action is a change that an operator makes by a form.
type action struct {
	path string // as [http.ServeMux] takes it, without a method
	// do makes the change and returns the path of the page to show next.
	do func(ctx context.Context, v *visit) (next string, err error)
}

// maxForm bounds the body of each request, in bytes.
const maxForm = 64 << 10

// act answers a form. Requests of other sites were refused before.
func (c *Console) act(a action) handler {
	return func(w http.ResponseWriter, v *visit) error {
		if v.operator == "" {
			return errForbidden
		}
		if err := v.ParseForm(); err != nil {
			return bad("The form can't be read", "Send it again. It may have at most 64 KiB.")
		}
		var next string
		err := c.inTurn(v, changeTime, func(ctx context.Context) (err error) {
			next, err = a.do(ctx, v)
			return err
		})
		if err != nil {
			return err
		}
		c.keepSaid(w, v)
		return seeOther(w, next)
	}
}

// doing is what an operator does, as the audit log records it.
type doing struct {
	Action clerksync.Action // operator.…
	Target string           // id of what is changed
	Data   map[string]any   // what else tells two changes apart; nil for nothing
}

// change makes a change and appends its audit entry in one transaction: either both exist, or
// neither. The entry comes last, because deliveries may wait for the lock of its chain.
func (c *Console) change(ctx context.Context, v *visit, what doing, do func(ctx context.Context, tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, c.cfg.Pool, func(tx pgx.Tx) error {
		if err := do(ctx, tx); err != nil {
			return err
		}
		return c.record(ctx, tx, v.operator, what)
	})
}

// order commits the audit entry of a change that has transactions of its own, and then makes the
// change. If the change fails, the log has an order that wasn't carried out.
func (c *Console) order(ctx context.Context, v *visit, what doing, do func(ctx context.Context) error) error {
	if err := c.record(ctx, c.cfg.Pool, v.operator, what); err != nil {
		return err
	}
	return do(ctx)
}

func (c *Console) record(ctx context.Context, db store.DBTX, operator string, what doing) error {
	if operator == "" {
		return errForbidden
	}
	err := store.AppendOperatorEntry(ctx, db, store.OperatorEntry{
		Operator: operator, Action: what.Action, Target: what.Target, Data: what.Data,
	})
	if err != nil {
		return fmt.Errorf("record what %s does: %w", operator, err)
	}
	return nil
}
