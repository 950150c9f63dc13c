package service

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/internal/clerkapi"
	jobscommand "github.com/callmine/rolecall/jobs/command"
	"github.com/callmine/rolecall/jobs/lookup"
	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/store"
)

// startClerk opens the client of Clerk's API, and learns the instance whose deliveries are ours.
// Without a secret key, there is no client.
func (s *Service) startClerk(ctx context.Context) (err error) {
	s.instance.Store(&s.cfg.InstanceID)
	if s.cfg.SecretKey == "" {
		close(s.asked)
		s.logger.WarnContext(ctx, "CLERK_SECRET_KEY is not set: the mirror is never compared with Clerk")
		if s.cfg.InstanceID == "" {
			s.logger.WarnContext(ctx, "CLERK_INSTANCE_ID is not set: examples that Clerk's dashboard sends would be applied")
		}
		return nil
	}
	if s.clerk, err = s.cfg.OpenClerk(database.LeaseCalls(s.work), s.logger, s.metrics.called, s.tracing.Provider()); err != nil {
		return err
	}
	s.metrics.registry.MustRegister(newClerkCollector(s.clerk.Usage))
	s.cleanup.Add("client of Clerk", func(context.Context) error { s.clerk.Close(); return nil })
	s.checkInstance(ctx)
	return nil
}

const (
	// learnTimeout bounds one question for the instance.
	learnTimeout = 3 * time.Second
	// learnSoon is the pause before the second question, if Clerk didn't answer the first.
	learnSoon = time.Second
	// learnEvery is the pause between later questions.
	learnEvery = 10 * time.Second
)

// checkInstance asks Clerk in the background for the secret key's instance, and for its kind, which
// decides Clerk's rate limit. While Clerk doesn't answer, or if it names another instance, the
// mirror's instance counts. If there is none, every delivery is ours. With the key of another
// instance, sweeps fail, and strangers aren't looked up.
func (s *Service) checkInstance(ctx context.Context) {
	if want, err := database.Instance(ctx, s.cfg, s.admins); err == nil && want != "" { // otherwise askInstance logs the fault
		s.instance.Store(&want)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var asking sync.WaitGroup
	asking.Go(func() {
		answered := s.askInstance(ctx)
		close(s.asked)
		for wait := learnSoon; !answered; wait = learnEvery {
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
				answered = s.askInstance(ctx)
			}
		}
	})
	s.cleanup.Add("asking for the instance", func(context.Context) error { cancel(); asking.Wait(); return nil })
}

// awaitClerk waits for Clerk's first answer about the instance, for learnTimeout at most. Only
// requests that need it wait: a hanging Clerk holds up neither the start nor other requests.
func (s *Service) awaitClerk(ctx context.Context) {
	select {
	case <-s.asked:
	case <-ctx.Done():
	}
}

// awaitInstance waits for Clerk if neither the settings nor the mirror name the instance.
func (s *Service) awaitInstance(ctx context.Context) {
	if s.instance.String() == "" {
		s.awaitClerk(ctx)
	}
}

// askInstance asks Clerk for the instance, and reports whether Clerk answered.
func (s *Service) askInstance(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.extras.LearnTimeout, learnTimeout))
	defer cancel()
	want, err := database.Instance(ctx, s.cfg, s.admins)
	if err != nil {
		s.logger.WarnContext(ctx, "the mirror's instance couldn't be read", "error", err)
		return false
	}
	if want != "" {
		s.instance.Store(&want)
	}
	instance, err := s.clerk.Instance(clerkapi.Interactive(ctx, clerkapi.ForRemoval)) // until then, even removals wait
	switch {
	case err != nil:
		s.logger.WarnContext(ctx, "Clerk doesn't name the instance of the secret key", "error", err, "instance_id", want)
		return false
	case want == "":
		s.logger.InfoContext(ctx, "instance learnt from Clerk", "instance_id", instance.ID)
		s.instance.Store(&instance.ID)
	case want != instance.ID:
		s.logger.ErrorContext(ctx, "the secret key is of another instance than the mirror", "instance_id", instance.ID, "mirror", want)
		return true
	}
	s.ownKey.Store(true)
	return true
}

// errForeignKey stops look-ups and commands.
var errForeignKey = errors.New("the secret key isn't known to be of the mirror's instance")

// mayAsk returns an error unless the secret key is of the mirror's instance. Just after the start,
// it waits for Clerk's answer.
func (s *Service) mayAsk() error {
	<-s.asked
	if !s.ownKey.Load() {
		return errForeignKey
	}
	return nil
}

// sweeper returns the sweeper, or nil without a secret key.
func (s *Service) sweeper() (*sweep.Sweeper, error) {
	if s.clerk == nil {
		return nil, nil //nolint:nilnil // there is none, and that is no error
	}
	return sweep.New(sweep.Config{
		Pool: s.work, Clerk: s.clerk, Billing: s.clerk.Billing, InstanceID: s.cfg.InstanceID, MaxRemovalRatio: s.cfg.MaxRemovalRatio, Logger: s.logger,
	})
}

// lookups returns the look-ups of strangers.
func (s *Service) lookups() (*lookup.Lookups, error) {
	r, err := lookup.NewRefresher(lookup.RefresherConfig{Pool: s.work, Clerk: s.clerk, Allowed: s.mayAsk})
	if err != nil {
		return nil, err
	}
	return lookup.New(lookup.Config{
		Asker: refresher{r, s.awaitClerk}, DB: s.decide, Logger: s.logger, Timeout: s.extras.LookUpTimeout,
		Told: func(r lookup.Result) { s.metrics.refreshed.WithLabelValues(string(r)).Inc() },
	})
}

// refresher looks strangers up ahead of sweeps, since the strangers wait.
type refresher struct {
	*lookup.Refresher

	await func(context.Context) // waits until Clerk may be asked
}

// Refresh implements [lookup.Asker].
func (r refresher) Refresh(ctx context.Context, userID, organizationID string) error {
	r.await(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return r.Refresher.Refresh(clerkapi.Interactive(ctx, clerkapi.ForStranger), userID, organizationID)
}

// RefreshUser implements [lookup.Asker].
func (r refresher) RefreshUser(ctx context.Context, userID string) error {
	r.await(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return r.Refresher.RefreshUser(clerkapi.Interactive(ctx, clerkapi.ForStranger), userID)
}

// commander returns the commander, which carries commands out.
func (s *Service) commander() (*jobscommand.Commander, error) {
	return jobscommand.New(jobscommand.Config{
		Pool: s.changes, Clerk: s.clerk, Allowed: s.mayAsk, Logger: s.logger,
		Acknowledged: func(id string, first time.Time) { s.acknowledged.RememberSince(store.AcknowledgedCommand, id, first) },
	})
}

// instanceID is the Clerk instance whose deliveries are ours; "" while it isn't known.
type instanceID struct{ atomic.Pointer[string] }

func (i *instanceID) String() string {
	if id := i.Load(); id != nil {
		return strings.TrimSpace(*id)
	}
	return ""
}
