package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/internal/pgtest"
)

// writeSecret writes a secret's file, and returns its path.
func writeSecret(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o400))
	return path
}

// TestSecretFile_IsReadForEverySecret: what is secret may come from a file, and nothing else may.
//
//nolint:paralleltest // the environment belongs to the process
func TestSecretFile_IsReadForEverySecret(t *testing.T) {
	var files []string
	for _, s := range (config.Config{}).Settings() {
		if file := s.FileVariable(); file != "" {
			files = append(files, file)
		}
	}
	require.ElementsMatch(t, []string{
		"DATABASE_URL_FILE", "ROLECALL_READ_DATABASE_URL_FILE", "ROLECALL_REPLICA_DATABASE_URLS_FILE", "ROLECALL_DIRECT_DATABASE_URL_FILE", "CLERK_WEBHOOK_SIGNING_SECRET_FILE", "CLERK_SECRET_KEY_FILE",
		"ROLECALL_SERVICE_TOKEN_HASHES_FILE", "ROLECALL_OPERATOR_TOKEN_HASHES_FILE",
	}, files)

	hash := strings.Repeat("4f", 32)
	env := map[string]string{"CLERK_ISSUER": "https://clerk.callmine.test", "ROLECALL_LISTEN_ADDR": "127.0.0.1:0", "ROLECALL_ADMIN_ADDR": "127.0.0.1:0"}
	for setting, value := range map[string]string{
		"DATABASE_URL": "postgres://u:opensesame@127.0.0.1:1/one\n", "ROLECALL_READ_DATABASE_URL": "postgres://u:opensesame@127.0.0.1:1/two\r\n",
		"ROLECALL_DIRECT_DATABASE_URL": " postgres://u:opensesame@127.0.0.1:1/three", "CLERK_WEBHOOK_SIGNING_SECRET": goodEnv()["CLERK_WEBHOOK_SIGNING_SECRET"] + "\n",
		"CLERK_SECRET_KEY": "sk_test_opensesame\n\n", "ROLECALL_SERVICE_TOKEN_HASHES": "reports:" + hash + "/scopes=read\n", "ROLECALL_OPERATOR_TOKEN_HASHES": "ann:" + hash,
	} {
		env[setting+"_FILE"] = writeSecret(t, value)
	}
	code, out, errs := runCommand(t, env, "config")
	require.Equal(t, exitOK, code, errs)
	require.Empty(t, errs)
	require.NotContains(t, out, "opensesame")
	require.NotContains(t, out, hash)
	for _, shown := range []string{"127.0.0.1:1/one", "127.0.0.1:1/two", "127.0.0.1:1/three", env["CLERK_SECRET_KEY_FILE"]} {
		require.Contains(t, out, shown)
	}
	require.Regexp(t, `CLERK_SECRET_KEY +\[redacted\]`, out)
	_, _, serve := runCommand(t, env, "serve")
	require.Contains(t, serve, "connect to Postgres (ROLECALL_DIRECT_DATABASE_URL)", "the settings are all there")
	require.NotContains(t, serve, "opensesame")
}

// TestSecretFile_SubcommandsReadIt: also those that need the database alone.
//
//nolint:paralleltest // the environment belongs to the process
func TestSecretFile_SubcommandsReadIt(t *testing.T) {
	code, out, errs := runCommand(t, map[string]string{"DATABASE_URL_FILE": writeSecret(t, pgtest.URL(t)+"\n")}, "status")
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, out, "never_swept")
}

// TestSecretFile_NamesItsFault once: with the variable, the file and the cure, and without any part
// of the secret.
//
//nolint:paralleltest // the environment belongs to the process
func TestSecretFile_NamesItsFault(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	for path, want := range map[string]string{
		"/nowhere/database_password":           "DATABASE_URL_FILE: /nowhere/database_password can't be read: no such file or directory: name a file that holds DATABASE_URL",
		"postgres://u:opensesame@db/app":       "DATABASE_URL_FILE: the value (not printed, since it may hold a secret) can't be read",
		t.TempDir():                            "can't be read: it is not a regular file",
		pipe:                                   "can't be read: it is not a regular file",
		"/dev/zero":                            "/dev/zero can't be read: it is not a regular file",
		writeSecret(t, " \n"):                  "is empty: write the value of DATABASE_URL into it",
		writeSecret(t, "DB=opensesame\nX=1\n"): "has several lines",
		writeSecret(t, "\ufeffpostgres://opensesame"): "has a character that isn't printable",
		writeSecret(t, "p\x00o\x00s\x00t\x00"):        "has a character that isn't printable",
		writeSecret(t, "opensesame \xff"):             "has a character that isn't printable",
		writeSecret(t, strings.Repeat("x", 129<<10)):  "it has more than 131072 bytes",
		writeSecret(t, "opensesame"):                  "DATABASE_URL is not a Postgres URL",
	} {
		env := goodEnv()
		delete(env, "DATABASE_URL")
		env["DATABASE_URL_FILE"] = path
		for _, command := range []string{"config", "serve", "doctor"} {
			code, out, errs := runCommand(t, env, command)
			require.NotEqual(t, exitOK, code, "%s takes %s", command, path)
			require.Contains(t, out+errs, want, command)
			require.NotContains(t, out+errs, "DATABASE_URL is missing", "the file is named, and its fault is")
			require.NotContains(t, out+errs, "opensesame", command)
		}
		code, _, errs := runCommand(t, env, "status")
		require.Equal(t, exitError, code)
		require.Contains(t, errs, want)
	}
	env := goodEnv()
	env["DATABASE_URL_FILE"] = writeSecret(t, "postgres://u:opensesame@db/app")
	code, out, errs := runCommand(t, env, "config")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "DATABASE_URL: it is set, and so is DATABASE_URL_FILE: unset one of them")
	require.NotContains(t, out+errs, "opensesame")
}
