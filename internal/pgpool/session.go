package pgpool

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// readOnlyState is the SQLSTATE of a write where none is allowed.
const readOnlyState = "25006"

// sessions opens the sessions of one pool, and looks at them.
type sessions struct {
	Config

	lastsNot   bool         // what is set doesn't last: only the server is judged
	parameters []setting    // of the URL
	telling    atomic.Int32 // how much of its identity the server tells this role
}

// session is what is known of one.
type session struct {
	idle  time.Duration // before it was last taken out of the pool
	epoch int
}

const sessionKey = "rolecall"

func (*sessions) of(conn *pgconn.PgConn) *session {
	s, _ := conn.CustomData()[sessionKey].(*session)
	return s
}

// begin makes a new session what it must be, and reads that back.
func (s *sessions) begin(ctx context.Context, conn *pgconn.PgConn) error {
	set := ""
	if !s.lastsNot {
		all := append(slices.Clone(s.parameters), setting{"application_name", quote(s.Name)})
		set = setSQL(append(all, s.Needs.settings()...), "false") + "; "
	}
	known, err := s.look(ctx, conn, set, s.judgeNow)
	if err != nil {
		return err
	}
	conn.CustomData()[sessionKey] = known
	return nil
}

// usable reports whether an open session may be handed out.
func (s *sessions) usable(ctx context.Context, conn *pgconn.PgConn) bool {
	known := s.of(conn)
	if known == nil || !s.Lineage.current(known.epoch) {
		return false
	}
	if known.idle < lookAfter {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	again, err := s.look(ctx, conn, "", s.judgeNow)
	if err != nil {
		return false
	}
	*known = *again
	return true
}

// judgeNow refuses a session that isn't what it must be.
func (s *sessions) judgeNow(now seen) error {
	if s.lastsNot {
		return now.judgeServer(s.Needs)
	}
	return now.judge(s.Needs)
}

// look looks at a session, judges it, and tells the lineage of it. What is before runs first, in the same round trip.
func (s *sessions) look(ctx context.Context, conn *pgconn.PgConn, before string, judge func(seen) error) (*session, error) {
	floor := s.Lineage.floor()
	now, told, err := lookAsTold(ctx, conn, before, telling(s.telling.Load()))
	if err != nil {
		return nil, err
	}
	s.telling.Store(int32(told))
	if err := judge(now); err != nil {
		return nil, err
	}
	epoch, err := s.Lineage.observe(wireOf(conn), now, floor, !s.Follows)
	if err != nil {
		return nil, err
	}
	return &session{epoch: epoch}, nil
}

// lookAsTold looks, and asks for less of the identity as long as the server refuses that.
func lookAsTold(ctx context.Context, conn *pgconn.PgConn, before string, t telling) (seen, telling, error) {
	for ; ; t++ {
		now, err := look(ctx, conn, before+lookSQL(t))
		if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || t == tellsNothing || !notTold(refused) {
			return now, t, err
		}
	}
}

// notTold reports whether a server has no such function, or doesn't let this role call it.
func notTold(err *pgconn.PgError) bool {
	switch err.Code {
	case "42501", // insufficient_privilege
		"42883", // undefined_function
		"42P01", // undefined_table
		"0A000": // feature_not_supported
		return true
	default:
		return false
	}
}
