package service_test

import (
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/testlog"
)

// policyLocking takes members:manage from the admins, and gives something to the members.
const policyLocking = "roles:\n  org:member: [analyses:run]\n  org:admin: [members:read, workspace:update, audit:read]\n  org:owner: [members:manage]\n"

// setupManaged is [setupPolicy] with a second workspace, which has an admin.
func setupManaged(t *testing.T) *policyBundle {
	t.Helper()
	b := setupPolicy(t)
	b.execute(t, "INSERT INTO rolecall.memberships (id, organization_id, user_id, role) VALUES ('orgmem_2', 'org_2', 'user_2', 'org:admin')")
	return b
}

func (b *policyBundle) execute(t *testing.T, sql string) {
	t.Helper()
	_, err := b.db.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func awaitLine(t *testing.T, log *testlog.Lines, text string, times int) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Count(log.String(), text) >= times }, 20*time.Second, 2*time.Millisecond, "%s in\n%s", text, log)
}

// policyAlarm reports whether a process shows the alarm about its policy.
func policyAlarm(t *testing.T, admin string) bool {
	t.Helper()
	response, err := newClient(t).Get("http://" + admin + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	m := regexp.MustCompile(`rolecall_alarm\{name="policy_refused"\} (\d)`).FindStringSubmatch(string(text))
	require.NotNil(t, m)
	return m[1] == "1"
}

// TestPolicyRefused_AtSIGHUP: a file that would leave a workspace without a manager isn't taken. It
// is taken with the line that the log names, or once another member may manage.
func TestPolicyRefused_AtSIGHUP(t *testing.T) {
	t.Parallel()
	b := setupManaged(t)
	p := startBuilt(t, servicetest.Settings(t, func(c *config.Config) {
		c.DatabaseURL, c.PolicyFile, c.ServiceTokens = b.url, b.file, "reports:"+b.hash
	}))
	reload := func(text string) {
		t.Helper()
		b.write(t, text)
		require.NoError(t, p.command.Process.Signal(syscall.SIGHUP))
	}
	require.False(t, policyAlarm(t, p.admin))
	reload(policyLocking)
	awaitLine(t, p.log, `"policy refused: the one in force stays"`, 1)
	require.Contains(t, p.log.String(), "1 workspace would have no member any more who may manage members, because org:admin would lose members:manage: org_2.")
	require.True(t, b.allowed(t, newClient(t), p.web, "reports:read"))
	require.True(t, b.sql(t, "reports:read"))
	require.True(t, policyAlarm(t, p.admin))

	line := regexp.MustCompile(`confirm_no_manager: \\"[0-9a-f]{16}\\"`).FindString(p.log.String())
	require.NotEmpty(t, line, p.log)
	reload(policyLocking + strings.ReplaceAll(line, `\`, "") + "\n")
	awaitLine(t, p.log, `"policy saved"`, 2)
	require.True(t, b.allowed(t, newClient(t), p.web, "analyses:run"))
	require.True(t, b.sql(t, "analyses:run"))
	require.False(t, policyAlarm(t, p.admin))

	reload(policyReading)
	awaitLine(t, p.log, `"policy saved"`, 3)
	reload(strings.ReplaceAll(policyLocking, "analyses:run", "prompts:read") + strings.ReplaceAll(line, `\`, "") + "\n")
	awaitLine(t, p.log, `"policy refused: the one in force stays"`, 2) // the line is another policy's
	b.execute(t, "INSERT INTO rolecall.memberships (id, organization_id, user_id, role) VALUES ('orgmem_3', 'org_2', 'user_3', 'org:owner')")
	reload(policyLocking)
	awaitLine(t, p.log, `"policy saved"`, 4)
	require.True(t, b.allowed(t, newClient(t), p.web, "analyses:run"))
}

// TestPolicyRefused_AtTheStart: the saved grants stay in force, and the process runs. A corrected
// file is taken.
func TestPolicyRefused_AtTheStart(t *testing.T) {
	t.Parallel()
	b := setupManaged(t)
	first, _ := b.start(t, config.Parts{Web: true})
	b.write(t, policyLocking)
	second, log := b.start(t, config.Parts{Web: true})
	require.Contains(t, log.String(), "policy refused: the one in force stays")
	require.NotContains(t, log.String(), "policy saved")
	for _, addr := range []string{first.WebAddr, second.WebAddr} {
		require.True(t, b.allowed(t, newClient(t), addr, "reports:read"))
	}
	require.True(t, b.sql(t, "reports:read"))
	require.False(t, policyAlarm(t, first.AdminAddr))
	require.True(t, policyAlarm(t, second.AdminAddr))

	b.write(t, policyRunning)
	second.Reload(t.Context())
	awaitLine(t, log, "policy saved", 1)
	require.True(t, b.allowed(t, newClient(t), second.WebAddr, "analyses:run"))
	require.False(t, policyAlarm(t, second.AdminAddr))
	require.NoError(t, os.Remove(b.file))
	second.Reload(t.Context())
	awaitLine(t, log, "policy not read", 1)
	require.True(t, policyAlarm(t, second.AdminAddr), "a file that can't be read isn't in force either")
}
