package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/store"
)

// goodEnv is an environment that is valid, but for a database that doesn't exist.
func goodEnv() map[string]string {
	return map[string]string{
		"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", "CLERK_WEBHOOK_SIGNING_SECRET": "whsec_" + strings.Repeat("c2VjcmV0", 5),
		"CLERK_ISSUER": "https://clerk.callmine.test", "ROLECALL_LISTEN_ADDR": "127.0.0.1:0", "ROLECALL_ADMIN_ADDR": "127.0.0.1:0",
	}
}

// inProcess lists internals that messages for operators must not mention.
func inProcess() []string {
	return []string{"field", "slog.", "time.Duration", "float64", "strconv", "LogLevel", "SweepInterval", "Issuer ", "authenticator:", "%!", "parse error"}
}

// TestConfig_RefusesWhatServeRefuses: both commands refuse the same values, name the setting and
// the cure, and print no secret.
//
//nolint:paralleltest // the environment belongs to the process
func TestConfig_RefusesWhatServeRefuses(t *testing.T) {
	refused := map[string][]string{ // values by their setting; "" removes it
		"DATABASE_URL": {
			"", "foo", "localhost:5432/rolecall", "mysql://u:opensesame@db/app", "http://db/app", "postgres://u:open/sesame@db/app",
			"postgres://u:open#sesame@db/app", "postgres://u:opensesame@db:port/app", "postgres://u:opensesame@db/app?sslmode=maybe", "postgres//db/app",
		},
		"ROLECALL_MAX_CONNECTIONS":     {"many", "-3", "2", "1e3"},
		"ROLECALL_DIRECT_DATABASE_URL": {"foo", "postgres://u:open/sesame@db/app"},
		"ROLECALL_READ_DATABASE_URL":   {"foo", "jdbc:postgresql://u:opensesame@db/app"},
		"CLERK_WEBHOOK_SIGNING_SECRET": {
			"", "opensesame", "whsec_", "whsec_c2hvcnQ=", "whsec_opensesame!", `"whsec_` + strings.Repeat("c2VjcmV0", 5) + `"`,
		},
		"CLERK_ISSUER": {
			"", "https://clerk.callmine.test/", "https://clerk.callmine.test/v1", "clerk.callmine.test", "http://clerk.callmine.test", "https://",
			"https://clerk.callmine.test?x=1", "https://clerk.callmine.test#x", "https://u:opensesame@clerk.callmine.test", "https://Clerk.callmine.test",
			"'https://clerk.callmine.test'", "https://clerk callmine.test", "ftp://clerk.callmine.test", "https://clerk.callmine.test//",
			"https://clerk.callmine.test/.well-known/jwks.json",
		},
		"CLERK_JWKS_URL":           {"clerk.callmine.test/jwks", "file:///etc/passwd", "https://", "u:opensesame@clerk/jwks"},
		"CLERK_API_URL":            {"api.clerk.com/v1", "http://api.clerk.com/v1", "https://u:opensesame@api.clerk.com/v1", "https://api.clerk.com/v1?key=opensesame"},
		"CLERK_SECRET_KEY":         {"sk_test_open sesame", "pk_test_opensesame", "whsec_opensesame", `"sk_test_opensesame"`},
		"CLERK_INSTANCE_ID":        {"app_1", "production"},
		"CLERK_AUTHORIZED_PARTIES": {"a.test", "https://a.test/", "https://a.test,*", "https://u:opensesame@a.test", "https://a.test/path"},
		"ROLECALL_LISTEN_ADDR":     {"8080", "localhost", "http://localhost:8080", "localhost:", ":http-ish", ":70000", ":-1", "::1:8080", "*:8080", "300.0.0.1:8080", "a b:8080"},
		"ROLECALL_PUBLIC_URL": {
			"rolecall.test", "http://rolecall.test", "https://", "https://:8443", "https://rolecall.test/", "https://rolecall.test/v1", "https://rolecall.test?x=opensesame",
			"https://rolecall.test#x", "https://u:opensesame@rolecall.test", "https://Rolecall.test", "HTTPS://rolecall.test", "https://röle.test", "https://a.test,https://b.test",
		},
		"ROLECALL_ADMIN_ADDR":           {"9090", "127.0.0.1", "127.0.0.1:9090/metrics"},
		"ROLECALL_STOP_DELAY":           {"5", "five seconds", "-1s"},
		"ROLECALL_SERVICE_TOKEN_HASHES": {"reports:opensesame", "opensesame", "reports:" + strings.Repeat("opensesame", 7)[:64], "reports:" + strings.Repeat("0", 64) + "/scopes=opensesame"},
		"ROLECALL_CORS":                 {"true", "https://a.test"}, // no origins are set
		"ROLECALL_SWEEP_INTERVAL":       {"1 hour", "60", "-1h", "1 d", "whsec_opensesame"},
		"ROLECALL_MAX_REMOVAL_RATIO":    {"2", "0", "-0.1", "5%", "NaN", "0,05"},
		"ROLECALL_CLERK_RATE":           {"-1", "Inf", "NaN", "fast"},
		"ROLECALL_BODY_RETENTION":       {"-1h", "90 days", "30 d"},
		"ROLECALL_LEDGER_RETENTION":     {"-1h", "400", "6d23h"},
		"ROLECALL_SESSION_RETENTION":    {"-1d", (store.SessionsNamed - time.Second).String()},
		"ROLECALL_COMMAND_RETENTION":    {"-1h", (store.KeysCount - time.Second).String()},
		"ROLECALL_JOB_RETENTION":        {"-1h", "59m"},
		"ROLECALL_DONE_JOB_RETENTION":   {"-1m", "59s"},
		"ROLECALL_POLICY_FILE":          {"/nowhere/policy.yaml"},
		"ROLECALL_SIGN_IN_URL": {
			"accounts.test/sign-in", "/sign-in", "http://accounts.test/sign-in", "javascript:alert(1)", "https://", "https://u:opensesame@accounts.test", "https://accounts.test/#/sign-in",
			"https://accounts.test/?redirect_url=https://a.test", "https://accounts.test/sign-in", // no origins are set
		},
		"ROLECALL_LOG_LEVEL": {"verbose", "5x"},
	}
	for setting, values := range refused {
		for _, value := range values {
			env := goodEnv()
			env[setting] = value
			code, out, config := runCommand(t, env, "config")
			require.Equal(t, exitError, code, "config takes %s=%s", setting, value)
			require.Contains(t, out, "ROLECALL_LISTEN_ADDR", "the configuration in force is still printed")
			code, _, serve := runCommand(t, env, "serve")
			require.Equal(t, exitError, code, "serve takes %s=%s", setting, value)
			for _, errs := range []string{config, serve} {
				require.Contains(t, errs, setting, value)
				require.NotContains(t, errs, "connect to", "%s=%s is found before any work", setting, value)
				for _, never := range append(inProcess(), "opensesame", "sesame") {
					require.NotContains(t, errs+out, never, "%s=%s", setting, value)
				}
			}
		}
	}
	code, _, errs := runCommand(t, goodEnv(), "config")
	require.Equal(t, exitOK, code, errs)
}

// TestConfig_AcceptsValidSettings, unusual ones included.
//
//nolint:paralleltest // the environment belongs to the process
func TestConfig_AcceptsValidSettings(t *testing.T) {
	for setting, values := range map[string][]string{
		"DATABASE_URL": {
			"postgresql://u:p%40ss@db.test:5433/app?sslmode=require", "host=db user=u password='a b' dbname=app", "host=db dbname='app'", "postgres:///app?host=/var/run",
			"postgres://u@one:5432,two:5433/app?target_session_attrs=read-write", "postgres://u:a@b@db/app", " postgres://db/app\n",
		},
		"CLERK_ISSUER":                {"https://clerk.callmine.test:8443", "http://127.0.0.1:4000", "http://localhost:4000", "https://app.test/__clerk", " https://clerk.callmine.test\n"},
		"CLERK_JWKS_URL":              {"http://clerk-simulator:8080/jwks", "https://u:p@clerk.test/jwks"},
		"CLERK_AUTHORIZED_PARTIES":    {"https://a.test, https://b.test", "http://localhost:3000", "chrome-extension://abc"},
		"ROLECALL_LISTEN_ADDR":        {":8080", "0.0.0.0:0", "[::1]:8080", "localhost:http", "rolecall.internal:8080"},
		"ROLECALL_PUBLIC_URL":         {"https://rolecall.test", "https://rolecall.test:8443", "https://127.0.0.1", " https://rolecall.test\n"},
		"ROLECALL_POLICY_FILE":        {"../../api/policy/policy.yaml"},
		"ROLECALL_STOP_DELAY":         {"0", "0s", "1m30s"},
		"ROLECALL_LOG_LEVEL":          {"debug", "WARN", "info+1"},
		"ROLECALL_SWEEP_INTERVAL":     {"0", "15m"},
		"ROLECALL_BODY_RETENTION":     {"0", "1h"},
		"ROLECALL_LEDGER_RETENTION":   {"0", "7d"},
		"ROLECALL_SESSION_RETENTION":  {"0", "8d", store.SessionsNamed.String(), "5w"},
		"ROLECALL_COMMAND_RETENTION":  {"0", "24h", store.KeysCount.String(), "30d"},
		"ROLECALL_JOB_RETENTION":      {"0", "1h"},
		"ROLECALL_DONE_JOB_RETENTION": {"0", "1m", "1d"},
	} {
		for _, value := range values {
			env := goodEnv()
			env[setting] = value
			code, _, errs := runCommand(t, env, "config")
			require.Equal(t, exitOK, code, "%s=%s: %s", setting, value, errs)
			require.Empty(t, errs, "%s=%s", setting, value)
		}
	}
	env := goodEnv()
	env["CLERK_ISSUER"], env["CLERK_WEBHOOK_SIGNING_SECRET"] = "", ""
	code, _, errs := runCommand(t, env, "config", "--no-web")
	require.Equal(t, exitOK, code, errs)
	for _, page := range []string{"https://accounts.test/sign-in?theme=dark", "http://localhost:3000/sign-in"} {
		env = goodEnv()
		env["ROLECALL_SIGN_IN_URL"], env["CLERK_AUTHORIZED_PARTIES"] = page, "https://a.test"
		code, _, errs = runCommand(t, env, "config")
		require.Equal(t, exitOK, code, errs)
	}
	env = goodEnv()
	env["ROLECALL_LISTEN_ADDR"], env["ROLECALL_ADMIN_ADDR"] = ":8080", "127.0.0.1:8080"
	code, _, errs = runCommand(t, env, "config")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "share a port")
}

// TestConfig_WarnsOfServicesWithoutScopes: at the start, and wherever settings are examined.
//
//nolint:paralleltest // the environment belongs to the process
func TestConfig_WarnsOfServicesWithoutScopes(t *testing.T) {
	entry := func(name, digit, rights string) string { return name + ":" + strings.Repeat(digit, 64) + rights }
	env := goodEnv()
	env["ROLECALL_SERVICE_TOKEN_HASHES"] = strings.Join([]string{
		entry("old", "1", ""), entry("old", "2", ""), entry("limited", "3", "/workspaces=org_1"), entry("new", "4", "/scopes=read"),
	}, ",")
	for _, command := range []string{"config", "serve", "doctor"} {
		_, out, errs := runCommand(t, env, command)
		said := strings.ReplaceAll(out+errs, `\"`, `"`)
		require.Contains(t, said, `ROLECALL_SERVICE_TOKEN_HASHES: a token of "old" has no scopes`, command)
		require.Contains(t, said, `a token of "limited" has no scopes`, command)
		require.NotContains(t, said, `a token of "new"`, command)
		require.NotContains(t, said, "1111", command)
	}
	_, _, errs := runCommand(t, env, "config")
	require.Equal(t, 1, strings.Count(errs, `"old"`), "one warning for each service: %s", errs)
	_, _, errs = runCommand(t, env, "config", "--no-web")
	require.Empty(t, errs)
	env["ROLECALL_SERVICE_TOKEN_HASHES"] = entry("new", "4", "/scopes=read/workspaces=org_1+org_2")
	code, _, errs := runCommand(t, env, "config")
	require.Equal(t, exitOK, code)
	require.Empty(t, errs)
}

// TestConfig_CORSNeedsOrigins: without any, it would do nothing.
//
//nolint:paralleltest // the environment belongs to the process
func TestConfig_CORSNeedsOrigins(t *testing.T) {
	env := goodEnv()
	env["ROLECALL_CORS"], env["CLERK_AUTHORIZED_PARTIES"] = "true", "https://a.test"
	code, _, errs := runCommand(t, env, "config")
	require.Equal(t, exitOK, code, errs)
	env["CLERK_AUTHORIZED_PARTIES"] = ""
	code, _, errs = runCommand(t, env, "config")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "ROLECALL_CORS: it lets no page call: set CLERK_AUTHORIZED_PARTIES")
}

// TestConfig_ReportsAllFaultsAtOnce: unreadable values, invalid ones, missing settings, and the
// policy.
//
//nolint:paralleltest // the environment belongs to the process
func TestConfig_ReportsAllFaultsAtOnce(t *testing.T) {
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(policy, []byte("roles:\n  oops: 7\n"), 0o600))
	env := map[string]string{
		"DATABASE_URL": "foo", "CLERK_ISSUER": "https://clerk.callmine.test/", "ROLECALL_LISTEN_ADDR": "8080", "ROLECALL_SWEEP_INTERVAL": "1 hour",
		"ROLECALL_LOG_LEVEL": "loud", "ROLECALL_CLERK_RATE": "-1", "ROLECALL_POLICY_FILE": policy,
	}
	for _, command := range []string{"config", "serve"} {
		code, _, errs := runCommand(t, env, command)
		require.Equal(t, exitError, code)
		for setting := range env {
			require.Equal(t, 1, strings.Count(errs, setting), "%s in %s", setting, errs)
		}
		require.Contains(t, errs, "CLERK_WEBHOOK_SIGNING_SECRET is missing")
		require.NotContains(t, errs, "ROLECALL_MAX_REMOVAL_RATIO", "an unreadable value doesn't spoil others")
	}
}

// TestConfig_NamesMisspeltSettings: a misspelt name is reported, and refused if the setting that it
// means is missing.
//
//nolint:paralleltest // the environment belongs to the process
func TestConfig_NamesMisspeltSettings(t *testing.T) {
	without := func(setting string) map[string]string {
		env := goodEnv()
		delete(env, setting)
		return env
	}
	for _, tc := range []struct {
		env         map[string]string
		name, meant string
		code        int
	}{
		{without("CLERK_WEBHOOK_SIGNING_SECRET"), "CLERK_WEBHOOK_SECRET", "CLERK_WEBHOOK_SIGNING_SECRET", exitError},
		{without("CLERK_ISSUER"), "CLERK_ISSUER_URL", "CLERK_ISSUER", exitError},
		{without("CLERK_ISSUER"), "ROLECALL_ISSUER", "CLERK_ISSUER", exitError},
		{without("DATABASE_URL"), "DATABASE_URI", "DATABASE_URL", exitError},
		{without("DATABASE_URL"), "ROLECALL_DATABASE_URL", "DATABASE_URL", exitError},
		{goodEnv(), "CLERK_AUTHORIZED_PARTY", "CLERK_AUTHORIZED_PARTIES", exitError},
		{goodEnv(), "CLERK_SECRET", "CLERK_SECRET_KEY", exitError},
		{goodEnv(), "CLERK_SECRET_FILE", "CLERK_SECRET_KEY_FILE", exitError},
		{without("DATABASE_URL"), "DATABASE_FILE", "DATABASE_URL_FILE", exitError},
		{without("CLERK_ISSUER"), "CLERK_ISSUER_FILE", "CLERK_ISSUER", exitError},
		{goodEnv(), "CLERK_WEBHOOK_SIGNING_SECRT_FILE", "CLERK_WEBHOOK_SIGNING_SECRET is set, and counts", exitOK},
		{goodEnv(), "ROLECALL_SWEEP_INTERVALL", "ROLECALL_SWEEP_INTERVAL", exitError},
		{goodEnv(), "rolecall_log_level", "ROLECALL_LOG_LEVEL", exitError},
		{goodEnv(), "ROLECAL_STOP_DELAY", "ROLECALL_STOP_DELAY", exitOK},
		{goodEnv(), "CLERK_WEBHOOK_SECRET", "CLERK_WEBHOOK_SIGNING_SECRET", exitOK},
		{goodEnv(), "CLERK_API_KEY", "CLERK_SECRET_KEY", exitOK},
		{goodEnv(), "ROLECALL_COLOUR", "no setting of Rolecall", exitOK},
	} {
		t.Setenv(tc.name, "opensesame")
		code, out, errs := runCommand(t, tc.env, "config")
		require.Equal(t, tc.code, code, "%s: %s", tc.name, errs)
		require.Contains(t, errs, tc.name+" is no setting", tc.name)
		require.Contains(t, errs, tc.meant)
		require.NotContains(t, out+errs, "opensesame")
		_, _, serve := runCommand(t, tc.env, "serve")
		require.Contains(t, serve, tc.name+" is no setting", "serve reports it, too")
		require.NoError(t, os.Unsetenv(tc.name))
	}
	others := map[string]string{
		"CLERK_PUBLISHABLE_KEY": "pk_test_1", "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY": "pk_test_1", "NEXT_PUBLIC_CLERK_SIGN_IN_URL": "/in",
		"CLERK_JWT_KEY": "x", "CLERK_SIGN_IN_URL": "/in", "CLERK_AFTER_SIGN_IN_URL": "/", "CLERK_JS_URL": "x", "CLERK_TELEMETRY_DISABLED": "1",
		"CLERK_ENCRYPTION_KEY": "x", "CLERK_MACHINE_SECRET_KEY": "ak_1", "CLERK_FRONTEND_API": "x", "CLERK_DOMAIN": "x", "CLERK_PROXY_URL": "x",
		"ROLECALL_SERVICE_HOST": "10.0.0.1", "ROLECALL_SERVICE_PORT_HTTP": "80", "ROLECALL_PORT": "tcp://10.0.0.1:80", "ROLECALL_PORT_80_TCP_ADDR": "10.0.0.1",
		"ROLECALL_LISTEN_ADRR": "", "TEST_DATABASE_URL": "x", "DATABASE_URL_UNPOOLED": "x", "LOG_LEVEL": "x", "PORT": "80",
	}
	for name, value := range others {
		t.Setenv(name, value)
	}
	code, _, errs := runCommand(t, goodEnv(), "config")
	require.Equal(t, exitOK, code, errs)
	require.Empty(t, errs)
}

// TestConfig_NeverPrintsDotEnv: an error about an unreadable .env has none of its text, which may
// hold secrets.
func TestConfig_NeverPrintsDotEnv(t *testing.T) {
	for text, want := range map[string]string{
		"# first\nROLECALL_LOG_LEVEL=info\nCLERK-SECRET=opensesame\nDATABASE_URL=opensesame\n": "line 3 is no assignment",
		"DATABASE_URL=\"opensesame\n": "a quotation mark",
	} {
		t.Chdir(t.TempDir())
		require.NoError(t, os.WriteFile(".env", []byte(text), 0o600))
		code, out, errs := runCommand(t, nil, "dev", "--data", t.TempDir())
		require.Equal(t, exitError, code)
		require.Contains(t, errs, "read .env: "+want)
		require.NotContains(t, out+errs, "opensesame")
	}
	t.Chdir(t.TempDir())
	for _, s := range (config.Config{}).Settings() {
		t.Setenv(s.Name, "")
		require.NoError(t, os.Unsetenv(s.Name))
	}
	require.NoError(t, os.WriteFile(".env", []byte("ROLECALL_SWEEP_INTERVAL=hourly\nROLECALL_BODY_RETENTION=long\n"), 0o600))
	var errs, out strings.Builder
	require.Equal(t, exitError, run(t.Context(), []string{"dev"}, streams{out: &out, err: &errs}))
	require.Contains(t, errs.String(), `ROLECALL_SWEEP_INTERVAL: "hourly" is not a duration`)
	require.Contains(t, errs.String(), `ROLECALL_BODY_RETENTION: "long" is not a duration`)
}

//nolint:paralleltest // the environment belongs to the process
func TestConfig_ShowsThePolicy(t *testing.T) {
	env := goodEnv()
	code, out, errs := runCommand(t, env, "config")
	require.Equal(t, exitOK, code)
	require.Empty(t, errs)
	_, text, found := strings.Cut(out, "# policy, from: built-in policy\n")
	require.True(t, found, out)
	shown, err := policy.Parse("shown", []byte(text))
	require.NoError(t, err)
	want, err := policy.Default()
	require.NoError(t, err)
	require.Equal(t, want.Grants, shown.Grants)
	require.NotContains(t, text, "authzen", "the default isn't shown")

	file := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(file, []byte("# of ours\nroles:\n  org:admin: [members:read, workspace:update, audit:read]\nauthzen: {workspace_types: [team]}\n"), 0o600))
	env["ROLECALL_POLICY_FILE"] = file
	code, out, errs = runCommand(t, env, "config")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "# policy, from: "+file+"\nroles:\n  org:admin:\n")
	require.Contains(t, out, "\nauthzen:\n  workspace_types:\n  - team\n")
	require.Contains(t, errs, file+":2: no role grants members:manage")

	require.NoError(t, os.WriteFile(file, []byte("roles:\n  org:admin: [a]\n  admin: [b]\n"), 0o600))
	code, _, errs = runCommand(t, env, "config")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, file+`:3: role "admin" must be written "org:admin"`)
}

// TestConfig_ExplainsARoute prints which route takes a request.
//
//nolint:paralleltest // the environment belongs to the process
func TestConfig_ExplainsARoute(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`roles:
  org:admin: [a, members:read, members:manage, workspace:update, audit:read]
routes:
  - { match: 'GET /w/{workspace}/**', permission: a }
  - { match: 'GET /host', permission: a, workspace: host }
  - { match: 'GET /api', permission: a, workspace: header X-W }
  - { match: '* /dashboard', permission: a }
  - { match: 'GET /healthz', public: true }
`), 0o600))
	env := goodEnv()
	env["ROLECALL_POLICY_FILE"] = file
	for request, want := range map[string]string{
		"GET /w/org_1/x?y=z": file + ":4: GET /w/{workspace}/**\nit needs a in the workspace org_1\n",
		"GET /host/":         file + ":5: GET /host\nit needs a in the workspace whose slug is the host's first label\n",
		"GET /api":           file + ":6: GET /api\nit needs a in the workspace of the header X-W\n",
		"PUT /dashboard":     file + ":7: * /dashboard\nit needs a in the session's active workspace\n",
		"GET /healthz":       file + ":8: GET /healthz\nit needs nothing: the route is public\n",
	} {
		code, out, errs := runCommand(t, env, "config", "--route", request)
		require.Equal(t, exitOK, code, errs)
		require.Equal(t, want, out)
	}
	for request, want := range map[string]string{
		"GET /elsewhere": "no route takes this request", "GET /host/../w": "a segment of dots", "get /host": "must be a method in capitals", "GET": "doesn't begin with a slash",
	} {
		code, out, errs := runCommand(t, env, "config", "--route", request)
		require.Equal(t, exitError, code)
		require.Empty(t, out)
		require.Contains(t, errs, want)
	}
	_, out, _ := runCommand(t, env, "config")
	require.Contains(t, out, "routes:\n- match: GET /w/{workspace}/**\n  permission: a\n")
}
