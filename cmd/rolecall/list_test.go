package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rivo/uniseg"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type sample struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Members int    `json:"members"`
	Role    string `json:"role"`
	Fault   string `json:"fault"`
}

func samples() list[sample] {
	return list[sample]{name: "samples", columns: []column[sample]{
		{name: "name", kind: text, cell: func(s sample) string { return s.Name }},
		{name: "id", cell: func(s sample) string { return s.ID }},
		{name: "members", kind: number, cell: func(s sample) string { return strconv.Itoa(s.Members) }},
		{name: "role", cell: func(s sample) string { return s.Role }},
		{name: "fault", kind: text, cell: func(s sample) string { return s.Fault }},
	}}
}

// printedList prints a list as a command does, in two pages.
func printedList(tb testing.TB, as listFormat, items []sample, next string) string {
	tb.Helper()
	var out bytes.Buffer
	to, end := printed(streams{out: &out, err: &out})
	pages := samples().pages(to.out, as)
	require.NoError(tb, pages.add(items[:len(items)/2]))
	require.NoError(tb, pages.add(items[len(items)/2:]))
	require.NoError(tb, pages.end(next))
	end()
	return out.String()
}

func TestList_FitsInto80Columns(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		texts := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "Acme", "漢字漢字漢字漢字漢字漢字漢字漢字漢字", "👨‍👩‍👧", hostile}))
		items := rapid.SliceOf(rapid.Custom(func(r *rapid.T) sample {
			return sample{
				ID: "org_" + rapid.StringMatching(`[0-9a-zA-Z]{27}`).Draw(r, "id"), Name: texts.Draw(r, "name"), Fault: texts.Draw(r, "fault"),
				Role: rapid.SampledFrom([]string{"org:admin", "org:quite_a_long_role_of_a_customer", ""}).Draw(r, "role"), Members: rapid.Int().Draw(r, "members"),
			}
		})).Draw(r, "items")
		out := printedList(t, listFormat{}, items, "")
		requirePrintable(t, out)
		for l := range strings.SplitSeq(out, "\n") {
			require.LessOrEqual(t, uniseg.StringWidth(l), usualWidth, "%q", l)
		}
		for _, item := range items {
			for _, kept := range []string{item.ID, item.Role, strconv.Itoa(item.Members)} {
				require.Contains(t, out, kept, "it is never cut")
			}
		}
	})
}

func TestList_Table(t *testing.T) {
	t.Parallel()
	id := "org_" + strings.Repeat("x", 27)
	require.Equal(t, "no samples\n", printedList(t, listFormat{}, nil, ""))
	require.Equal(t, ""+
		"NAME    ID                               MEMBERS  ROLE\n"+
		"Acme    "+id+"       12  org:admin\n"+
		"Beta\\n  "+id+"        3\n",
		printedList(t, listFormat{}, []sample{{id, "Acme", 12, "org:admin", ""}, {id, "Beta\n", 3, "", ""}}, ""))
	require.Equal(t, ""+
		"NAME              ID                               MEMBERS  ROLE\n"+
		"  FAULT\n"+
		"A workspace who…  "+id+"       12  org:admin\n"+
		"A workspace who…  "+id+"       12  org:billing_managers\n"+
		"  lost\n",
		printedList(t, listFormat{}, []sample{
			{id, "A workspace whose name is long", 12, "org:admin", ""}, {id, "A workspace whose name is long", 12, "org:billing_managers", "lost"},
		}, ""), "names are cut, ids aren't")
	many := slices.Repeat([]sample{{id, "Acme", 12, "org:admin", ""}}, 2*mostHeld)
	out := printedList(t, listFormat{}, append(many, sample{id, "Acme and Sons", 12, "org:admin", ""}), "")
	require.Equal(t, 2, strings.Count(out, "MEMBERS"), "columns that become wider after many items repeat the header")
	require.Equal(t, 2*mostHeld+3, strings.Count(out, "\n"))
}

func TestList_IsTheSameForPrograms(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		items := rapid.SliceOf(rapid.Custom(func(r *rapid.T) sample {
			return sample{ID: rapid.String().Draw(r, "id"), Name: rapid.String().Draw(r, "name"), Members: rapid.Int().Draw(r, "members")}
		})).Draw(r, "items")
		next := rapid.String().Draw(r, "next")
		var got struct {
			Samples []sample `json:"samples"`
			Next    *string  `json:"next"`
		}
		require.NoError(t, json.Unmarshal([]byte(printedList(t, listFormat{JSON: true}, items, next)), &got))
		require.NotNil(t, got.Samples, "an empty list isn't null")
		require.Equal(t, next != "", got.Next != nil)
		require.Len(t, got.Samples, len(items))
		records, err := csv.NewReader(strings.NewReader(printedList(t, listFormat{CSV: true}, items, next))).ReadAll()
		require.NoError(t, err)
		require.Len(t, records, len(items)+1)
		require.Equal(t, []string{"name", "id", "members", "role", "fault"}, records[0])
		for i, item := range items {
			require.Equal(t, item, got.Samples[i])
			require.NotRegexp(t, `^[=+\-@]`, records[i+1][0], "no formula")
		}
	})
}
