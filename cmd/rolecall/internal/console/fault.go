package console

import (
	"errors"
	"net/http"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/store"
)

var (
	errNotFound  = errors.New("there is no such page")
	errBusy      = errors.New("too many pages at once")
	errForbidden = errors.New("no operator is signed in")
	errSlow      = errors.New("the page took too long")
)

// badInputError is a fault of the request, in words for its sender.
type badInputError struct{ title, advice string }

// Error implements error.
func (e *badInputError) Error() string { return e.title }

// missingError says that something isn't in the mirror.
type missingError struct{ title, advice string }

// Error implements error.
func (e *missingError) Error() string { return e.title }

// missing returns the error of something that isn't there: what, without a full stop, and what to
// do.
func missing(title, advice string) error { return &missingError{title, advice} }

// bad returns an error for a wrong input: what is wrong, without a full stop, and what to do.
func bad(title, advice string) error { return &badInputError{title, advice} }

// fault is an error as a page shows it.
type fault struct {
	Status        int
	Title, Advice string
	Retry         bool // trying again may help
}

// canceled is the SQLSTATE of a statement that took too long.
const canceled = "57014"

// faultOf is the only place that knows the pages of errors.
func faultOf(err error) fault {
	input, isInput := errors.AsType[*badInputError](err)
	absent, isAbsent := errors.AsType[*missingError](err)
	pgErr, _ := errors.AsType[*pgconn.PgError](err)
	switch {
	case isInput:
		return fault{http.StatusBadRequest, input.title, input.advice, false}
	case isAbsent:
		return fault{http.StatusNotFound, absent.title, absent.advice, false}
	case errors.Is(err, errNotFound), errors.Is(err, store.ErrNotFound):
		return fault{http.StatusNotFound, "There is nothing here", "The address may be wrong, or what it showed is gone.", false}
	case errors.Is(err, errForbidden):
		return fault{
			http.StatusForbidden, "The console is read-only",
			"Only a signed-in operator can change anything, and no operator's token is configured: set `ROLECALL_OPERATOR_TOKEN_HASHES`.", false,
		}
	case errors.Is(err, errUnconfigured):
		return fault{
			http.StatusForbidden, "No operator can sign in yet",
			"The console can be reached from other machines than this one, and no operator's token is configured. " +
				"Set `ROLECALL_OPERATOR_TOKEN_HASHES` to `name:hash` of each operator, and restart Rolecall. docs/console.md says how to make a token.", false,
		}
	case errors.Is(err, errWrongHost):
		return fault{
			http.StatusForbidden, "This address isn't the console's",
			"Without operators' tokens, the console answers only to localhost, 127.0.0.1 and [::1].", false,
		}
	case errors.Is(err, errCrossSite):
		return fault{http.StatusForbidden, "Another site asked for this change", "Nothing was changed. Make the change on a page of the console.", false}
	case errors.Is(err, errForeign):
		return fault{http.StatusForbidden, "Another site asked for this", "Open the console yourself, and ask for it there.", false}
	case errors.Is(err, store.ErrCut):
		return fault{
			http.StatusBadRequest, "The audit log doesn't go back to that instant any more",
			"Its older entries were cut. Choose a later instant: the page of the access review says since when the log is complete.", false,
		}
	case errors.Is(err, errMethod):
		return fault{http.StatusMethodNotAllowed, "This can only be read", "Ask for it with GET.", false}
	case errors.Is(err, errBusy):
		return fault{http.StatusServiceUnavailable, "The console is busy", "Other pages are being read. Try again in a few seconds.", true}
	case errors.Is(err, errSlow), pgErr != nil && pgErr.Code == canceled:
		return fault{
			http.StatusServiceUnavailable, "This page took too long",
			"The database didn't answer in time. Try again, or narrow what the page lists.", true,
		}
	case store.Unavailable(err):
		return fault{
			http.StatusServiceUnavailable, "The database can't be reached",
			"Rolecall shows nothing while it can't read its database. Webhooks aren't lost: Clerk sends them again. " +
				"`rolecall doctor` says what is wrong.", true,
		}
	default:
		return fault{
			http.StatusInternalServerError, "Something went wrong here",
			"The log of this process has the reason.", false,
		}
	}
}

// fail answers with the page of an error.
func (c *Console) fail(w http.ResponseWriter, v *visit, err error) {
	f := faultOf(err)
	if f.Status >= http.StatusInternalServerError {
		c.cfg.Logger.WarnContext(v.Context(), "a page of the console failed", "path", v.URL.Path, "error", pgpool.Explain(err))
	}
	if f.Retry {
		w.Header().Set("Retry-After", "3")
	}
	v.title = f.Title
	if err := c.render(w, v, f.Status, "fault", f); err != nil {
		c.cfg.Logger.ErrorContext(v.Context(), "show an error", "path", v.URL.Path, "error", err)
		http.Error(w, f.Title, f.Status)
	}
}
