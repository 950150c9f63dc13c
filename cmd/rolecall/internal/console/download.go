package console

import (
	"context"
	"io"
	"mime"
	"net/http"
	"time"

	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// downloadTime bounds a download. An audit log of millions of entries takes minutes.
	downloadTime = 15 * time.Minute
	// writeTime bounds each write to a slow browser.
	writeTime = 20 * time.Second
)

// download is a file that is read and written piece by piece.
type download struct {
	path        string // as [http.ServeMux] takes it, without a method
	contentType string
	// name returns the name of the file.
	name func(v *visit) string
	// write writes the file. Each statement through v.db is a transaction of its own.
	write func(ctx context.Context, v *visit, out io.Writer) error
}

// send answers with a download. One process sends one at a time.
func (c *Console) send(d download) handler {
	return func(w http.ResponseWriter, v *visit) error {
		done, err := c.exports.take(v.Context())
		if err != nil {
			return err
		}
		defer done()
		ctx, cancel := context.WithTimeout(v.Context(), downloadTime)
		defer cancel()
		if v.operator != "" {
			what := doing{Action: clerksync.ActionOperatorExported, Target: v.URL.Path, Data: map[string]any{"filters": v.filters()}}
			if err := c.inTurn(v, changeTime, func(ctx context.Context) error { return c.record(ctx, c.cfg.Pool, v.operator, what) }); err != nil {
				return err
			}
		}
		v.db, v.began = c.cfg.Pool, c.cfg.Now()
		out := &attachment{to: w, contentType: d.contentType, name: d.name(v)}
		err = d.write(ctx, v, out)
		if err != nil && out.begun {
			c.cfg.Logger.WarnContext(ctx, "a download of the console was cut off", "path", v.URL.Path, "error", err)
			panic(http.ErrAbortHandler) // the only way to say that the file isn't whole
		}
		if err == nil && !out.begun {
			out.begin()
		}
		return err
	}
}

// attachment writes a file. The headers come with the first bytes, so that an error before them can
// have a page of its own.
type attachment struct {
	to                http.ResponseWriter
	contentType, name string
	begun             bool
}

func (a *attachment) begin() {
	a.begun = true
	a.to.Header().Set("Content-Type", a.contentType)
	a.to.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": a.name}))
	a.to.WriteHeader(http.StatusOK)
}

// Write implements [io.Writer].
func (a *attachment) Write(p []byte) (int, error) {
	if !a.begun {
		a.begin()
	}
	if err := http.NewResponseController(a.to).SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return 0, err
	}
	return a.to.Write(p)
}
