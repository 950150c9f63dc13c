package pgpool

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// readOnlyState is the SQLSTATE of a write where none is allowed.
const readOnlyState = "25006"

// sessions opens the sessions of one pool, and looks at them.
type sessions struct {
	Config

	lastsNot   bool         // settings don't last: only the server is judged
	parameters []setting    // of the URL
	telling    atomic.Int32 // how much of its identity the server tells this role
}

// session is what is known of one session.
type session struct {
	idle  time.Duration // before it was last taken out of the pool
	epoch int
}

const sessionKey = "rolecall"

func (*sessions) of(conn *pgconn.PgConn) *session {
	s, _ := conn.CustomData()[sessionKey].(*session)
	return s
}

// begin sets up a new session, and reads the settings back.
func (s *sessions) begin(ctx context.Context, conn *pgconn.PgConn) error {
	set, local := "", "true"
	if !s.lastsNot {
		set = setSQL(append([]setting{{"application_name", quote(s.Name)}}, s.Needs.settings()...), "false") + "; "
		local = "false"
	}
	if err := tryParameters(ctx, conn, s.Setting, s.parameters, local); err != nil {
		return err
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

// judgeNow refuses a session that lacks what it must have.
func (s *sessions) judgeNow(now seen) error {
	switch {
	case s.Copies != nil:
		if err := now.judgeStandby(s.Copies.Known()); err != nil {
			return err
		}
		return now.judgeSettings(s.Needs)
	case s.lastsNot:
		return now.judgeServer(s.Needs)
	default:
		return now.judge(s.Needs)
	}
}

// look looks at a session, judges it, and shows it to the lineage. before runs first, in the same
// round trip. look ends a pooler's server that must not answer: the pooler would give it to the
// next session.
func (s *sessions) look(ctx context.Context, conn *pgconn.PgConn, before string, judge func(seen) error) (*session, error) {
	least := s.Lineage.floor()
	now, told, err := lookAsTold(ctx, conn, before, telling(s.telling.Load()))
	if err != nil {
		return nil, err
	}
	s.telling.Store(int32(told))
	now.direct = now.pid == conn.PID()
	err = judge(now)
	epoch := 0
	if err == nil {
		epoch, err = s.Lineage.observe(wireOf(conn), now, least, !s.Follows)
	}
	if err != nil {
		s.endServer(ctx, conn, now, err)
		return nil, err
	}
	return &session{epoch: epoch}, nil
}

// endServer ends a pooler's server that was refused, unless every other server would be refused,
// too. It does nothing behind a pooler for transactions, where it could end another server.
func (s *sessions) endServer(ctx context.Context, conn *pgconn.PgConn, now seen, why error) {
	refused, ok := errors.AsType[*RefusedError](why)
	if !ok || refused.Lasting() || s.lastsNot || now.pid == conn.PID() {
		return
	}
	_, _ = conn.Exec(ctx, endSQL).ReadAll() // its error says that the server has ended
	refused.ended = true
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

// notTold reports whether a server has no such function, or refuses it to this role.
func notTold(err *pgconn.PgError) bool {
	switch err.Code {
	case "42501", // insufficient_privilege
		"42883", // undefined_function
		"42P01", // undefined_table
		"0A000", // feature_not_supported
		"55000": // object_not_in_prerequisite_state: Aurora has no WAL of its own to tell of
		return true
	default:
		return false
	}
}
