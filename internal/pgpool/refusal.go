package pgpool

import (
	"fmt"
	"strconv"
	"strings"
)

// Reason names why a session was refused.
type Reason string

// The reasons. Those of the database stay until an operator changes it; the others may pass by
// themselves.
const (
	ReasonInRecovery    Reason = "in_recovery"
	ReasonNoStandby     Reason = "no_standby"
	ReasonReadOnly      Reason = "read_only"
	ReasonOlderTimeline Reason = "older_timeline"
	ReasonOtherSystem   Reason = "other_system"
	ReasonEncoding      Reason = "encoding"
	ReasonVersion       Reason = "version"
	ReasonSetting       Reason = "setting"
	ReasonPooler        Reason = "pooler"
	ReasonParameter     Reason = "parameter" // of the URL
)

// RefusedError says why a session can't be used, and what to do about it.
type RefusedError struct {
	Reason Reason
	Detail string

	ended bool // the refused server was a pooler's, and was ended: the next session may get another one
}

// Error implements error.
func (e *RefusedError) Error() string { return e.Detail }

// Timeout implements net.Error. Like a network's error, this one is about the server and not about
// the statement.
func (*RefusedError) Timeout() bool { return false }

// Temporary implements net.Error.
func (e *RefusedError) Temporary() bool { return !e.Lasting() }

// Lasting reports whether retries are useless until an operator has changed the database or the
// configuration.
func (e *RefusedError) Lasting() bool {
	switch e.Reason {
	case ReasonEncoding, ReasonVersion, ReasonSetting, ReasonPooler, ReasonParameter:
		return true
	default:
		return false
	}
}

func refuse(reason Reason, format string, args ...any) error {
	return &RefusedError{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

const (
	// oldestVersion is the oldest Postgres that has every setting and function that sessions need:
	// idle_session_timeout came with it.
	oldestVersion = 14_00_00
	// utf8 is the one encoding that holds every character that Clerk may send.
	utf8 = "UTF8"
)

// judgeDatabase refuses a database for reasons that hold for all its sessions.
func (s seen) judgeDatabase() error {
	if s.version < oldestVersion {
		return refuse(ReasonVersion, "the server is Postgres %s, and Rolecall needs %d or newer: upgrade it",
			versionName(s.version), oldestVersion/10_000)
	}
	if s.serverEncoding != utf8 {
		return refuse(ReasonEncoding, "the database %s has the encoding %s, which can't hold every name that Clerk sends: use a database "+
			"made with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0", s.database, s.serverEncoding)
	}
	return nil
}

// judge refuses a session that lacks what it must have.
func (s seen) judge(n Needs) error {
	if err := s.judgeServer(n); err != nil {
		return err
	}
	return s.judgeSettings(n)
}

// judgeSettings refuses a session that doesn't keep what was set.
func (s seen) judgeSettings(n Needs) error {
	weak := !n.AsyncCommit && s.commits != "on" && s.commits != "remote_apply"
	if s.clientEncoding != utf8 || s.isolation != "read committed" || weak || n.ReadOnly && !s.readOnly ||
		strings.ReplaceAll(s.path, `"`, "") != path {
		return refuse(ReasonSetting, "the session doesn't keep what is set: client_encoding %s, default_transaction_isolation %s, "+
			"synchronous_commit %s, default_transaction_read_only %t, search_path %s: is a pooler between that swallows SET?",
			s.clientEncoding, s.isolation, s.commits, s.readOnly, s.path)
	}
	return nil
}

// judgeServer refuses a server in the wrong state.
func (s seen) judgeServer(n Needs) error {
	if err := s.judgeDatabase(); err != nil {
		return err
	}
	if s.inRecovery {
		return refuse(ReasonInRecovery, "the server is in recovery: a standby shows the past, not the present: name the primary")
	}
	if n.Write && s.readOnly {
		return refuse(ReasonReadOnly, "the session is read-only, and must write: default_transaction_read_only is on for the database, "+
			"the role or the server")
	}
	return nil
}

// judgeStandby refuses a server that isn't a standby of the known primary. It refuses a pooler,
// too: one for transactions keeps no setting, so that a statement could be answered from the
// snapshot of the one before it.
func (s seen) judgeStandby(primary Identity) error {
	if err := s.judgeDatabase(); err != nil {
		return err
	}
	switch {
	case !s.direct:
		return refuse(ReasonPooler, "there is a pooler between: name the replica itself")
	case primary.elsewhere(s.identity):
		return refuse(ReasonOtherSystem, "the server is of another cluster (system %s) than the primary (system %s): its data are of another database",
			s.identity.System, primary.System)
	case !s.inRecovery:
		return refuse(ReasonNoStandby, "the server isn't in recovery: it is a primary, and no replica: let it follow the primary, or leave it out")
	}
	return nil
}

// versionName formats server_version_num for people.
func versionName(number int) string {
	return strconv.Itoa(number/10_000) + "." + strconv.Itoa(number%10_000)
}
