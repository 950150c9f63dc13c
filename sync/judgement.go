package sync

import (
	"math"
	"reflect"
	"slices"
)

// Answers of Clerk's API and signed events may contradict each other. This file says which counts.
//
// An answer may come from an old state: Clerk's reads can lag behind its events by any time. So an
// answer that is dated before what is applied here changes nothing, and Clerk's reads are reported
// as behind. If this is wrong, it is wrong on the safe side: an account that was refused stays
// refused. An answer overrules what is applied only where a lag can't explain the difference. These
// cases are in [Version.yields].

// Circumstances say how far a look-up's answer can be trusted.
type Circumstances struct {
	AskedAt int64 // when the API was asked, epoch milliseconds
	Settled bool  // the object hasn't changed here for longer than Clerk's reads lag behind
	Trusted bool  // an operator says that Clerk's answers are true, whatever their dates
}

// Judgement says what an answer of Clerk's API changes although the mirror has other values.
type Judgement struct {
	Overruling Facts // the part of the answer that counts although versions here are later; without a Subject if nothing does
	Behind     bool  // a part of the answer is older than what is applied here
}

// Judge says which part of a look-up's answer counts, of what it says about the subject of the
// facts. Values newer than the mirror's count, too, so the answer needn't have been merged before.
func (m Mirror) Judge(f Facts, c Circumstances) Judgement {
	f = m.unnamed(f.Own())
	j := Judgement{Overruling: Facts{Subject: f.Subject}}
	o := &j.Overruling
	o.Users = judge(&j, c, f.Users, m.Users)
	o.Memberships = judge(&j, c, f.Memberships, m.Memberships)
	o.Invitations = judge(&j, c, f.Invitations, m.Invitations)
	o.Domains = judge(&j, c, f.Domains, m.Domains)
	o.Permissions = judge(&j, c, f.Permissions, m.Permissions)
	o.Roles = judge(&j, c, f.Roles, m.Roles)
	o.Organizations = judge(&j, c, f.Organizations, m.Organizations)
	if o.empty() {
		o.Subject = ""
	}
	return j
}

// judge returns the objects of one kind that an answer overrules. It leaves out the registers that
// agree with the mirror or are older.
func judge[T mergeable[T], P registered[T]](j *Judgement, c Circumstances, said []T, objects map[string]T) []T {
	var overruling []T
	for _, in := range said {
		before, known := objects[in.ObjectID()]
		if !known || in.ObjectID() != j.Overruling.Subject || before.Dead() {
			continue
		}
		if sameValues[T, P](before, overrule[T, P](before, in)) {
			continue
		}
		// A membership, invitation or domain never moves to another organization: no lag explains
		// the difference.
		counts := !reflect.DeepEqual(before, withParentsOf[T, P](before, in))
		kept := in
		mine, theirs := P(&before).Registers(), P(&kept).Registers()
		for i := range theirs {
			switch {
			case !differs[T, P](before, in, i):
				*theirs[i].Version = Version{}
			case mine[i].Version.yields(*theirs[i].Version, c):
				counts = true
			default:
				*theirs[i].Version = Version{}
				j.Behind = true
			}
		}
		if counts {
			overruling = append(overruling, kept)
		}
	}
	return overruling
}

// Older reports whether a look-up's answer shows its subject as it was before what is applied here.
// It compares dates only, also of an object that is gone here.
func (m Mirror) Older(f Facts, c Circumstances) bool {
	return older(f, c, m.Users) || older(f, c, m.Memberships) || older(f, c, m.Invitations) || older(f, c, m.Domains) ||
		older(f, c, m.Permissions) || older(f, c, m.Roles) || older(f, c, m.Organizations)
}

func older[T any, P registered[T]](f Facts, c Circumstances, objects map[string]T) bool {
	before, known := objects[f.Subject]
	return known && !Newest(P(&before).Registers()).yields(f.Version(), c)
}

// differs reports whether one register has another value in an answer than in the mirror.
func differs[T mergeable[T], P registered[T]](before, in T, register int) bool {
	only := withParentsOf[T, P](in, before)
	for i, r := range P(&only).Registers() {
		if i != register {
			*r.Version = Version{}
		}
	}
	return !sameValues[T, P](before, overrule[T, P](before, only))
}

// sameValues reports whether two states of an object differ only in their versions and their
// history.
func sameValues[T any, P registered[T]](before, after T) bool {
	anyVersion := func(Version, Version) bool { return true }
	return reflect.DeepEqual(withoutHistory(before), withVersionsOf[T, P](before, withoutHistory(after), anyVersion))
}

// yields reports whether a register of this version takes the value of an answer.
func (v Version) yields(answer Version, c Circumstances) bool {
	switch {
	case c.Trusted, v.Undated, v.UpdatedAt > c.AskedAt+ownSkew: // the version can't be right
		return true
	case answer.UpdatedAt >= v.UpdatedAt: // the answer isn't older
		return true
	case c.Settled: // a nested copy may be old itself; two of Clerk's machines may stamp updates in the wrong order
		return v.Rank < RankFull || v.UpdatedAt-answer.UpdatedAt <= clerkSkew
	default:
		return false
	}
}

// OverruleAll puts the facts of a [Judgement] into the mirror, whatever the versions of their
// subjects are.
func (m Mirror) OverruleAll(facts []Facts, askedAt int64, cause string) Changes {
	return m.observeAll(application{observed: true, overruling: true}, facts, askedAt, cause)
}

// overrule merges an answer's state into before, as if the answer's versions were the highest. The
// values that it takes have the answer's real versions.
func overrule[T mergeable[T], P registered[T]](before, in T) T {
	raised := in
	for _, r := range P(&raised).Registers() {
		if !r.Version.IsZero() {
			r.Version.Rank, r.Version.UpdatedAt = RankFull, math.MaxInt64
		}
	}
	after := before.Merge(raised)
	own, registers := P(&in).Registers(), P(&after).Registers()
	for i, r := range registers {
		if r.Version.UpdatedAt == math.MaxInt64 {
			*r.Version = *own[i].Version
		}
	}
	return withParentsOf[T, P](after, in)
}

// withParentsOf returns after with the organization and the user of in.
func withParentsOf[T any, P registered[T]](after, in T) T {
	*P(&after).reference() = *P(&in).reference()
	return after
}

// yieldFlags returns an answer's users, without those flags that a newer nested copy has set here.
// Such a copy may have shown a ban or an offboarding. The account's own state outranks every nested
// copy, but an older one must not admit the account again.
func yieldFlags(known map[string]User, said []User) []User {
	yielding := slices.Clone(said)
	for i, u := range said {
		was := known[u.ID]
		yielding[i].Banned, yielding[i].Deprovisioned = yieldFlag(was.Banned, u.Banned), yieldFlag(was.Deprovisioned, u.Deprovisioned)
	}
	return yielding
}

// yieldFlag returns one flag of an answer's user, or none if it must yield to the flag here.
func yieldFlag(before, in Field[bool]) Field[bool] {
	if before.Value && before.Version.Rank < RankFull && in.Version.UpdatedAt < before.Version.UpdatedAt {
		return Field[bool]{}
	}
	return in
}
