package config

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/internal/clerkapi"
	"github.com/callmine/rolecall/internal/pgpool"
)

// checkQuotes finds values in quotation marks. A shell removes the marks, a container's file of
// variables doesn't.
func (c Config) checkQuotes() error {
	var errs []error
	for _, s := range c.settingsInClear() {
		for _, mark := range []string{`"`, `'`} {
			if strings.HasPrefix(s.Value, mark) { // only at the beginning: keywords for Postgres may end with one
				errs = append(errs, wrong(s.Name, "the value begins with a quotation mark: write it without"))
			}
		}
	}
	return errors.Join(errs...)
}

func (c Config) checkDatabases(which Parts) error {
	var errs []error
	for _, db := range [][2]string{{"DATABASE_URL", c.DatabaseURL}, {"ROLECALL_DIRECT_DATABASE_URL", c.DirectDatabaseURL}, {"ROLECALL_READ_DATABASE_URL", c.ReadDatabaseURL}} {
		if setting, value := db[0], db[1]; value != "" {
			errs = append(errs, CheckDatabaseURL(setting, value))
		}
	}
	if err := errors.Join(errs...); err != nil || c.DirectURL() == "" {
		return err
	}
	configured, by, err := c.LimitOf()
	if err != nil || configured == 0 {
		return err
	}
	if _, err := pgpool.Split(configured, c.Shares(which), ExtraPool(which)); err != nil {
		return fmt.Errorf("%s: %w", by, err)
	}
	return nil
}

// CheckDatabaseURL returns the fault of a Postgres URL, if any. Its error has no part of the URL,
// which may hold a password.
func CheckDatabaseURL(setting, value string) error {
	const form = "write postgres://user:password@host:5432/database" //nolint:gosec // an example
	scheme, rest, isURL := strings.Cut(value, "://")
	if !isURL && !strings.Contains(value, "=") {
		return fmt.Errorf("%s is not a Postgres URL: %s", setting, form)
	}
	if isURL && !strings.Contains(scheme, "=") && scheme != "postgres" && scheme != "postgresql" {
		return fmt.Errorf("%s is not a Postgres URL, which begins with postgres://: %s", setting, form)
	}
	if isURL && scheme != "" && misplacedAt(rest) {
		return fmt.Errorf("%s is not a Postgres URL: write the characters @ : / ? # %% of its password as %%40 %%3A %%2F %%3F %%23 %%25", setting)
	}
	cfg, err := pgxpool.ParseConfig(value)
	if err != nil { // which has the URL in its text
		return fmt.Errorf("%s is not a Postgres URL that can be read: look at its port and parameters (sslmode, files of certificates), "+
			"and write the characters @ : / ? # %% of its password as %%40 %%3A %%2F %%3F %%23 %%25", setting)
	}
	for name := range cfg.ConnConfig.RuntimeParams {
		if !parameterName.MatchString(name) {
			return fmt.Errorf("%s sets a parameter that Postgres can't have: look at its part after the ?, "+
				"and write the characters @ : / ? # %% of its password as %%40 %%3A %%2F %%3F %%23 %%25", setting)
		}
	}
	return nil
}

// parameterName matches the names of Postgres' parameters.
var parameterName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// misplacedAt reports whether a URL, without its scheme, has an @ after its host, or a fragment.
// Both come from an unescaped password: its second half would be taken for a database's name, and
// printed.
func misplacedAt(rest string) bool {
	path, _, _ := strings.Cut(rest, "?")
	_, path, _ = strings.Cut(path, "/")
	return strings.Contains(path, "@") || strings.Contains(rest, "#")
}

func (c Config) checkClerk() error {
	var errs []error
	if err := clerkapi.CheckURL(c.APIURL); c.APIURL != "" && err != nil {
		errs = append(errs, wrong("CLERK_API_URL", "%s: leave it empty for Clerk's own", err))
	}
	if err := clerkapi.CheckSecretKey(c.SecretKey); c.SecretKey != "" && err != nil {
		errs = append(errs, wrong("CLERK_SECRET_KEY", "%s: copy it from Clerk's dashboard", err))
	}
	return errors.Join(errs...)
}

// proxied is the end of an issuer's path if an application proxies Clerk's Frontend API. Clerk
// documents it.
const proxied = "/__clerk"

// CheckIssuer returns the faults of CLERK_ISSUER and CLERK_JWKS_URL. The issuer is compared byte
// for byte with the issuer in Clerk's tokens.
func (c Config) CheckIssuer() error {
	var errs []error
	if c.Issuer != "" {
		if fault := issuerFault(c.Issuer); fault != "" {
			errs = append(errs, wrong("CLERK_ISSUER", "%s %s: write the Frontend API URL of Clerk's dashboard, such as https://clerk.example.com",
				shown(redactWeb(c.Issuer)), fault))
		}
	}
	if c.JWKSURL != "" {
		if u, err := url.Parse(c.JWKSURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			errs = append(errs, wrong("CLERK_JWKS_URL", "it is not a web address: write one such as https://clerk.example.com/.well-known/jwks.json, "+
				"or leave it empty for the issuer's"))
		}
	}
	return errors.Join(errs...)
}

func issuerFault(issuer string) string {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Host == "" && !strings.Contains(issuer, "://"):
		return "has no scheme"
	case u.Host == "":
		return "has no host"
	case u.Scheme != "https" && (u.Scheme != "http" || !isThisMachine(u.Hostname())):
		return "doesn't begin with https://"
	case strings.HasSuffix(issuer, "/"):
		return "ends with a slash, which no token's issuer does"
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(issuer, "#"):
		return "has more than scheme and host"
	case u.Path != "" && !strings.HasSuffix(u.Path, proxied):
		return "has a path, which an issuer has only if Clerk is proxied (…" + proxied + ")"
	case u.Host != strings.ToLower(u.Host) || strings.ContainsFunc(u.Host, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "has a host that isn't in lower case"
	}
	return ""
}

func isThisMachine(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// checkPublicURL finds an address that isn't one of AuthZEN's metadata. Clients compare it byte for
// byte with the address that they asked.
func (c Config) checkPublicURL() error {
	if c.PublicURL == "" {
		return nil
	}
	u, err := url.Parse(c.PublicURL)
	odd := func(r rune) bool { return r <= ' ' || r > '~' || r >= 'A' && r <= 'Z' }
	if err != nil || u.Hostname() == "" || "https://"+u.Host != c.PublicURL || strings.ContainsFunc(u.Host, odd) {
		return wrong("ROLECALL_PUBLIC_URL", "%s is not https:// and a host in lower case: write these alone, such as https://rolecall.example.com",
			shown(redactWeb(c.PublicURL)))
	}
	return nil
}

func (c Config) checkAddresses(which Parts) error {
	var errs []error
	addresses := [][2]string{{"ROLECALL_ADMIN_ADDR", c.AdminAddr}}
	if which.Web {
		addresses = append(addresses, [2]string{"ROLECALL_LISTEN_ADDR", c.ListenAddr})
	}
	for _, a := range addresses {
		if fault := AddrFault(a[1]); fault != "" {
			errs = append(errs, wrong(a[0], "%s %s", shown(a[1]), fault))
		}
	}
	if len(errs) == 0 && which.Web && overlap(c.ListenAddr, c.AdminAddr) {
		errs = append(errs, wrong("ROLECALL_ADMIN_ADDR", "%s and ROLECALL_LISTEN_ADDR (%s) share a port: give each one of its own",
			shown(c.AdminAddr), shown(c.ListenAddr)))
	}
	return errors.Join(errs...)
}

var (
	hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?$`)
	numbers  = regexp.MustCompile(`^[0-9.]+$`)
)

// AddrFault returns the fault of an address to listen at, and its cure; "" for none.
func AddrFault(addr string) string {
	const form = "write host:port, such as 127.0.0.1:8080, or :8080 for all addresses of this machine"
	host, port, err := net.SplitHostPort(addr)
	switch {
	case strings.Contains(addr, "://"):
		return "has a scheme: " + form
	case err != nil && !strings.Contains(addr, ":"):
		return "has no colon and port: " + form
	case err != nil:
		return "is not an address: " + form + ", and an IPv6 address in brackets ([::1]:8080)"
	case port == "":
		return "has no port: " + form
	}
	if _, err := net.DefaultResolver.LookupPort(context.Background(), "tcp", port); err != nil {
		return "has no port from 0 to 65535: " + form
	}
	_, err = netip.ParseAddr(host)
	if host != "" && err != nil && (!hostName.MatchString(host) || numbers.MatchString(host)) {
		return "has a host that can't be this machine's: " + form
	}
	return ""
}

// overlap reports whether no process can listen at both addresses.
func overlap(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	everywhere := func(host string) bool {
		addr, err := netip.ParseAddr(host)
		return host == "" || err == nil && addr.IsUnspecified()
	}
	return hostA == hostB || everywhere(hostA) || everywhere(hostB)
}
