package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// Verdict is the result of a check.
type Verdict string

// The verdicts. A wrong finding keeps Rolecall from working, a warning doesn't.
const (
	VerdictOK      Verdict = "ok"
	VerdictWarning Verdict = "warning"
	VerdictWrong   Verdict = "wrong"
)

// Finding is the result of one check.
type Finding struct {
	Check  string  `json:"check"`
	State  Verdict `json:"state"`
	Detail string  `json:"detail"`
	Cure   string  `json:"cure,omitempty"` // what to do, unless it is ok
}

func fine(check, format string, args ...any) Finding {
	return Finding{Check: check, State: VerdictOK, Detail: fmt.Sprintf(format, args...)}
}

func doubtful(check, cure, format string, args ...any) Finding {
	return Finding{Check: check, State: VerdictWarning, Detail: fmt.Sprintf(format, args...), Cure: cure}
}

func bad(check, cure, format string, args ...any) Finding {
	return Finding{Check: check, State: VerdictWrong, Detail: fmt.Sprintf(format, args...), Cure: cure}
}

// Examination is what `rolecall doctor --json` prints. Todo has the most urgent first.
type Examination struct {
	OK     bool      `json:"ok"` // nothing is wrong
	Checks []Finding `json:"checks"`
	Todo   []string  `json:"todo"`
}

// settingsFindings returns the faults of the environment and of the policy file.
func settingsFindings(warnings []string, err error) []Finding {
	var found []Finding
	for _, fault := range faultsOf(err) {
		found = append(found, bad("settings", "correct it: "+fault, "%s", fault))
	}
	for _, warning := range warnings {
		found = append(found, doubtful("settings", "correct or remove it: "+warning, "%s", warning))
	}
	if len(found) == 0 {
		found = append(found, fine("settings", "no fault was found"))
	}
	return found
}

// faultsOf takes a joined error apart.
func faultsOf(err error) []string {
	if err == nil {
		return nil
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		var all []string
		for _, one := range several.Unwrap() {
			all = append(all, faultsOf(one)...)
		}
		return all
	}
	return []string{err.Error()}
}

func examinationOf(found []Finding) Examination {
	e := Examination{OK: true, Checks: found, Todo: []string{}}
	for i := range found {
		found[i].Detail, found[i].Cure = onOneLine(found[i].Detail), onOneLine(found[i].Cure)
	}
	for _, state := range []Verdict{VerdictWrong, VerdictWarning} {
		for _, f := range found {
			if f.State == state {
				e.OK = e.OK && state != VerdictWrong
				if todo := f.Check + ": " + f.Cure; !slices.Contains(e.Todo, todo) {
					e.Todo = append(e.Todo, todo)
				}
			}
		}
	}
	return e
}

// onOneLine puts a foreign text onto one line.
func onOneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
