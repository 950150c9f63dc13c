package main

import (
	"encoding"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/buildinfo"
	"github.com/callmine/rolecall/cmd/rolecall/internal/doctor"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/store"
)

// commandsDocument returns docs/commands.md.
func commandsDocument(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(servicetest.InRepository(t, "docs/commands.md"))
	require.NoError(t, err)
	return string(text)
}

// TestDocument_NamesEveryCommand: the table of commands has each command, and no other.
func TestDocument_NamesEveryCommand(t *testing.T) {
	t.Parallel()
	_, table, _ := strings.Cut(commandsDocument(t), "\n## Find the command\n")
	table, _, _ = strings.Cut(table, "\n\nWithout")
	var documented, commands []string
	for _, m := range regexp.MustCompile("`(rolecall [a-z -]+)`[,|]? ?").FindAllStringSubmatch(firstCells(table), -1) {
		documented = append(documented, m[1])
	}
	parser, err := newParser(&cli{}, os.Stderr, func(int) {})
	require.NoError(t, err)
	for _, command := range parser.Model.Leaves(true) {
		if !command.Hidden {
			commands = append(commands, kongPath(command))
		}
	}
	require.ElementsMatch(t, commands, documented)
}

// firstCells returns the first cells of a table's rows.
func firstCells(table string) string {
	var cells strings.Builder
	for row := range strings.SplitSeq(table, "\n") {
		if cell, _, ok := strings.Cut(strings.TrimPrefix(row, "|"), "|"); ok {
			cells.WriteString(cell + "\n")
		}
	}
	return cells.String()
}

func kongPath(command *kong.Node) string {
	if command.Parent == nil {
		return command.Name
	}
	return kongPath(command.Parent) + " " + command.Name
}

// TestDocument_HasTheShapes: the tables of fields have each field of JSON and each column of CSV,
// and no other.
func TestDocument_HasTheShapes(t *testing.T) {
	t.Parallel()
	document := commandsDocument(t)
	for heading, shape := range map[string]struct {
		list string // its name in JSON; "" if the object isn't a page
		item any
		csv  []string
	}{
		"List workspaces":                        {workspaceColumns().name, listedWorkspace{}, headerOf(workspaceColumns().columns)},
		"List members":                           {memberColumns().name, listedMember{}, headerOf(memberColumns().columns)},
		"Look a user up":                         {"", shownUser{}, headerOf(userWorkspaceColumns().columns)},
		"Review access":                          {reviewColumns(false).name, support.ReviewedMember{}, headerOf(reviewColumns(false).columns)},
		"List audit entries":                     {auditColumns(false).name, auditEntry{}, headerOf(auditColumns(false).columns)},
		"List changes":                           {changeColumns(false).name, listedChange{}, headerOf(changeColumns(false).columns)},
		"Say which build runs":                   {"", buildinfo.Info{}, nil},
		"Read the status":                        {"", health.Snapshot{}, nil},
		"Read a sweep's report":                  {"", sweep.Report{}, nil},
		"Read what `doctor` found":               {"", doctor.Examination{}, nil},
		"Read what became of a replay":           {"", jobs.Replayed{}, nil},
		"Read what was erased":                   {"", shownErasure{}, nil},
		"Read whether the audit log verifies":    {"", verifiedAudit{}, nil},
		"Test a policy":                          {"", testedPolicy{}, nil},
		"Compare policies":                       {"", policyDifference{}, headerOf(changedRoleColumns().columns)},
		"List whom a policy changes":             {changedMemberColumns().name, changedMember{}, headerOf(changedMemberColumns().columns)},
		"List workspaces left without a manager": {leftWorkspaceColumns().name, leftWorkspace{}, headerOf(leftWorkspaceColumns().columns)},
		"List deliveries":                        {deliveryColumns(false).name, store.LedgerRow{}, headerOf(deliveryColumns(false).columns)},
	} {
		_, section, ok := strings.Cut(document, "\n## "+heading+"\n")
		require.True(t, ok, heading)
		section, _, _ = strings.Cut(section, "\n## ")
		if shape.list != "" {
			require.Regexp(t, "The JSON object has [^:]*`"+shape.list+"` and `next`", section, heading)
		}
		var fields, columns []string
		for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (?:`([^`]+)` \\|)?").FindAllStringSubmatch(section, -1) {
			fields = append(fields, m[1])
			if m[2] != "" {
				columns = append(columns, m[2])
			}
		}
		require.ElementsMatch(t, fieldsOf(reflect.TypeOf(shape.item)), fields, heading)
		require.ElementsMatch(t, shape.csv, columns, heading)
	}
	require.Equal(t, headerOf(auditColumns(false).columns), headerOf(auditColumns(true).columns), "the same for one workspace")
}

// fieldsOf returns the paths of the fields that a type has in JSON.
func fieldsOf(item reflect.Type) (paths []string) {
	for field := range item.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous:
			paths = append(paths, fieldsOf(field.Type)...)
			continue
		case name == "":
			continue
		}
		of := field.Type
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice && of.Elem().Kind() == reflect.Struct {
			if of.Kind() == reflect.Slice {
				name += "[]"
			}
			of = of.Elem()
		}
		if of == reflect.TypeFor[auditEntry]() || of == reflect.TypeFor[sweep.Report]() { // documented by themselves
			paths = append(paths, strings.TrimSuffix(name, "[]"))
			continue
		}
		if of.Kind() != reflect.Struct || of.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
			paths = append(paths, name)
			continue
		}
		for _, path := range fieldsOf(of) {
			paths = append(paths, name+"."+path)
		}
	}
	return paths
}
