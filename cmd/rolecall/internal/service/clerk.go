package service

import (
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
)

// startClerk opens the client, and learns the instance whose deliveries are ours. Without a secret
// key there is none.
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
	if s.clerk, err = s.cfg.OpenClerk(s.logger, s.metrics.called); err != nil {
		return err
	}
	s.cleanup.Add("client of Clerk", func(context.Context) error { s.clerk.Close(); return nil })
	s.checkInstance(ctx)
	return nil
}

const (
	// learnTimeout is how long Clerk may take to tell the instance.
	learnTimeout = 3 * time.Second
	// learnEvery is how often Clerk is asked again while it doesn't.
	learnEvery = 10 * time.Second
)

// checkInstance asks Clerk, in the background, which instance the secret key is of, and which kind,
// which decides how often Clerk may be asked. If the mirror is of another instance the mirror's
// counts, and Clerk isn't asked about strangers; the sweeps say so. While Clerk doesn't answer, the
// mirror's counts too; if there is none, every delivery is ours.
func (s *Service) checkInstance(ctx context.Context) {
	if want, err := database.Instance(ctx, s.cfg, s.admins); err == nil && want != "" { // else asking says what is wrong
		s.instance.Store(&want)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var asking sync.WaitGroup
	asking.Go(func() {
		told := s.askInstance(ctx)
		close(s.asked)
		ticker := time.NewTicker(learnEvery)
		defer ticker.Stop()
		for !told {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				told = s.askInstance(ctx)
			}
		}
	})
	s.cleanup.Add("asking for the instance", func(context.Context) error { cancel(); asking.Wait(); return nil })
}

// awaitClerk waits until Clerk was asked for the instance once, which takes [LearnTimeout] at most.
// Only what needs the answer waits: a hanging Clerk holds up neither the start nor other requests.
func (s *Service) awaitClerk(ctx context.Context) {
	select {
	case <-s.asked:
	case <-ctx.Done():
	}
}

// awaitInstance waits for Clerk where nothing else says which deliveries are ours.
func (s *Service) awaitInstance(ctx context.Context) {
	if s.instance.String() == "" {
		s.awaitClerk(ctx)
	}
}

// askInstance reports whether Clerk told the instance.
func (s *Service) askInstance(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, learnTimeout)
	defer cancel()
	want, err := database.Instance(ctx, s.cfg, s.admins)
	if err != nil {
		s.logger.WarnContext(ctx, "read the mirror's instance", "error", err)
		return false
	}
	if want != "" {
		s.instance.Store(&want)
	}
	instance, err := s.clerk.Instance(ctx)
	switch {
	case err != nil:
		s.logger.WarnContext(ctx, "Clerk doesn't tell the instance of the secret key", "error", err, "instance_id", want)
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

// errForeignKey keeps Clerk from being asked about strangers.
var errForeignKey = errors.New("the secret key isn't known to be of the mirror's instance")

// mayAsk returns an error unless the secret key is of the mirror's instance. Just after the start
// it waits for Clerk to say.
func (s *Service) mayAsk() error {
	<-s.asked
	if !s.ownKey.Load() {
		return errForeignKey
	}
	return nil
}

// sweeper returns what compares the mirror with Clerk, or nil without a secret key.
func (s *Service) sweeper() (*sweep.Sweeper, error) {
	if s.clerk == nil {
		return nil, nil //nolint:nilnil // there is none, and that is no error
	}
	return sweep.New(sweep.Config{
		Pool: s.work, Clerk: s.clerk, Billing: s.clerk.Billing, InstanceID: s.cfg.InstanceID, MaxRemovalRatio: s.cfg.MaxRemovalRatio, Logger: s.logger,
	})
}

// lookups returns what asks Clerk about strangers.
func (s *Service) lookups() (*lookup.Lookups, error) {
	r, err := lookup.NewRefresher(lookup.RefresherConfig{Pool: s.work, Clerk: s.clerk, Allowed: s.mayAsk})
	if err != nil {
		return nil, err
	}
	return lookup.New(lookup.Config{
		Asker: refresher{r, s.awaitClerk}, DB: s.read, Logger: s.logger,
		Told: func(r lookup.Result) { s.metrics.refreshed.WithLabelValues(string(r)).Inc() },
	})
}

// refresher asks Clerk on behalf of a stranger who waits: no sweep is before them.
type refresher struct {
	*lookup.Refresher

	await func(context.Context) // until it is known whether Clerk may be asked
}

// Refresh implements [lookup.Asker].
func (r refresher) Refresh(ctx context.Context, userID, organizationID string) error {
	if r.await(ctx); ctx.Err() != nil {
		return ctx.Err()
	}
	return r.Refresher.Refresh(clerkapi.Interactive(ctx, clerkapi.ForStranger), userID, organizationID)
}

// RefreshUser implements [lookup.Asker].
func (r refresher) RefreshUser(ctx context.Context, userID string) error {
	if r.await(ctx); ctx.Err() != nil {
		return ctx.Err()
	}
	return r.Refresher.RefreshUser(clerkapi.Interactive(ctx, clerkapi.ForStranger), userID)
}

// commander returns what carries commands out, on behalf of somebody who waits.
func (s *Service) commander() (*jobscommand.Commander, error) {
	return jobscommand.New(jobscommand.Config{Pool: s.changes, Clerk: s.clerk, Allowed: s.mayAsk, Logger: s.logger})
}

// instanceID is the Clerk instance whose deliveries are ours; "" while nobody knows.
type instanceID struct{ atomic.Pointer[string] }

func (i *instanceID) String() string {
	if id := i.Load(); id != nil {
		return strings.TrimSpace(*id)
	}
	return ""
}
