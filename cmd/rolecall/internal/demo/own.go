package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/cleanup"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/internal/clerkapi"
	"github.com/callmine/rolecall/internal/pgdev"
	clerksync "github.com/callmine/rolecall/sync"
)

// OwnOptions are the flags of `rolecall dev --clerk`. An empty address is the usual one, or a free
// one if that is taken.
type OwnOptions struct {
	Listen string // where webhooks and the API listen
	Admin  string // where the console, /healthz, /readyz and /metrics listen
	Data   string // folder of the database; "" for one of the instance's own in the user's cache folder
}

// Own is the mirror of one's own Clerk instance, with an API and a console. Make one with
// [StartOwn].
type Own struct {
	Rolecall    string // URL of the API
	Admin       string // URL of the console
	DatabaseURL string

	cfg      config.Config
	webhooks bool // a signing secret is given
	instance clerksync.Instance
	server   *pgdev.Server
	data     string // its folder
	filled   filled
	db       database.DB
	clerk    *clerkapi.Client
	feed     feed
	service  *service.Service
	cleanup  cleanup.Stack
}

// StartOwn starts the mirror of the instance of CLERK_SECRET_KEY, and fills it unless an earlier
// run did. Nothing that it starts ever changes anything at Clerk. It returns when all of it runs,
// or with an error and nothing running. The error is a [SettingError] if a setting is missing or
// wrong. The caller closes what it returns.
func StartOwn(ctx context.Context, o OwnOptions, errs io.Writer) (_ *Own, err error) {
	own := &Own{}
	if own.cfg, err = readOwn(ctx); err != nil {
		return nil, err
	}
	logger := slog.New(own.cfg.LogHandler(config.LogText)(errs, logLevel(own.cfg)))
	defer func() {
		if err != nil {
			err = errors.Join(unlessEnded(ctx, err), own.Close(ctx))
		}
	}()
	if err := own.meetClerk(ctx, logger); err != nil {
		return nil, err
	}
	if err := own.startPostgres(ctx, o, logger); err != nil {
		return nil, err
	}
	if err := own.fill(ctx, errs); err != nil {
		return nil, err
	}
	return own, own.serve(ctx, o, logger)
}

// Close ends everything that StartOwn began, in reverse. The mirror stays.
func (o *Own) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*service.StopTimeout)
	defer cancel()
	return o.cleanup.Run(ctx)
}

// RunOwn starts the mirror, says where it is, and prints what happens until ctx ends.
func RunOwn(ctx context.Context, o OwnOptions, out, errs io.Writer) (err error) {
	if err := loadDotEnv(); err != nil {
		return err
	}
	own, err := StartOwn(ctx, o, errs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.Close(ctx)) }()
	if err := own.greet(o, out); err != nil {
		return err
	}
	own.feed.start(ctx, own.db, out, &own.cleanup)
	err = untilEnd(ctx, own.service, own.server.Done())
	fmt.Fprintln(out, "Stopping.")
	return err
}

// serve starts the service.
func (o *Own) serve(ctx context.Context, options OwnOptions, logger *slog.Logger) (err error) {
	if os.Getenv("ROLECALL_SWEEP_INTERVAL") == "" {
		o.cfg.SweepInterval = sweepsEvery(o.filled.took)
	}
	if o.webhooks = len(o.cfg.SigningSecrets) > 0; !o.webhooks {
		o.cfg.SigningSecrets = []string{unknownSecret()}
	}
	extras := service.Extras{Web: func(next http.Handler) http.Handler {
		if !o.webhooks {
			next = withoutWebhooks(next)
		}
		return o.feed.watch(next)
	}}
	if o.service, err = startService(ctx, Options{Listen: options.Listen, Admin: options.Admin}, o.cfg, logger, extras); err != nil {
		return err
	}
	o.cleanup.Add("service", unlessCut(o.service.Stop))
	o.Rolecall, o.Admin = "http://"+o.service.WebAddr, "http://"+o.service.AdminAddr
	return nil
}

// usualSweeps is the time between two sweeps of a small instance.
const usualSweeps = time.Minute

// sweepsEvery returns the time between two sweeps, if one takes so long. Sweeps of a large instance
// would else follow each other without a pause, and use up a part of Clerk's limit all the time.
func sweepsEvery(took time.Duration) time.Duration {
	const share = 10
	return max(usualSweeps, (share * took).Round(time.Second))
}

// withoutWebhooks refuses webhooks, because nothing could verify them. Clerk tries again later.
func withoutWebhooks(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() == "/webhooks/clerk" {
			http.Error(w, "webhooks are off: set CLERK_WEBHOOK_SIGNING_SECRET to the signing secret of this endpoint, and start `rolecall dev --clerk` again",
				http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
}
