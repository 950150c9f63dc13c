package playground

import (
	"bytes"
	"cmp"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
)

// page is what the layout shows around a page's own data.
type page struct {
	Window, Title, Path string
	Person, UserID      string // who is signed in; "" for nobody
	Said, Console       string
	AdminLacks          []string
	Active              workspace
	Workspaces          []workspace
	Data                any
}

// Can reports whether Rolecall lists a permission for the person. Pages grey out by it, and nothing
// is decided by it.
func (p page) Can(permission string) bool { return slices.Contains(p.Active.Permissions, permission) }

// button is the end of a form, greyed out for a person who may not send it.
type button struct {
	Can   bool
	Label string
}

// parse reads the templates. They are embedded, so a fault is the program's.
func (p *Playground) parse() map[string]*template.Template {
	functions := template.FuncMap{
		"name": p.name, "library": library,
		"rhythms": func() []string { return []string{"every day", "every Monday", "every month"} },
		"role":    func(key string) string { return strings.TrimPrefix(key, "org:") },
		"button":  func(p page, permission, label string) button { return button{p.Can(permission), label} },
		"day": func(at string) string {
			day, _ := time.Parse(time.RFC3339, at) // as the API promises
			return day.Local().Format("2 Jan, 15:04")
		},
	}
	common := template.Must(template.New("").Funcs(functions).ParseFS(files, "templates/layout.html"))
	names, _ := fs.Glob(files, "templates/*.html") // the pattern is right
	pages := map[string]*template.Template{}
	for _, name := range names {
		pages[strings.TrimSuffix(path.Base(name), ".html")] = template.Must(template.Must(common.Clone()).ParseFS(files, name))
	}
	return pages
}

// show renders a page in the layout.
func (v *visit) show(status int, name, title string, data any) error {
	shown := page{
		Window: v.window, Title: title, Path: v.r.URL.Path[len(v.window):], Console: v.p.cfg.Console, AdminLacks: v.p.cfg.AdminLacks,
		Active: v.active(), Workspaces: v.workspaces, Data: data,
	}
	if v.token != "" {
		shown.Person, shown.UserID = v.p.name(v.session.userID), v.session.userID
	}
	if v.needs != anyone { // the panel's frame, for one, must leave it
		shown.Said = v.session.said
		v.change(func(s *session) { s.said = "" })
	}
	var text bytes.Buffer
	if err := v.p.pages[name].ExecuteTemplate(&text, "layout", shown); err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(bytes.Map(visible, text.Bytes())) // an error means that the reader has gone
	return nil
}

// visible replaces characters that hide text or turn it around: names come from strangers.
func visible(r rune) rune {
	if strings.ContainsRune("\r\n\t", r) || unicode.IsPrint(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) {
		return r
	}
	return unicode.ReplacementChar
}

// fail answers with what went wrong, in words, above Rolecall's own answer.
func (v *visit) fail(err error) {
	if to, ok := errors.AsType[redirection](err); ok {
		http.Redirect(v.w, v.r, v.window+string(to), http.StatusSeeOther)
		return
	}
	refused, ok := errors.AsType[*problem](err)
	if !ok {
		refused = &problem{Status: http.StatusInternalServerError, Title: "The product failed", Detail: err.Error()}
	}
	if v.token != "" && len(v.workspaces) == 0 {
		_ = v.readWorkspaces() // after an error, the page has no menu
	}
	name, title := "problem", refused.Title
	if refused.Status == http.StatusNotFound && v.active().ID == "" && v.session.workspaceID != "" {
		name, title = "not-a-member", "You're no longer a member of "+cmp.Or(v.session.workspaceName, "this workspace")
	}
	if err := v.show(refused.Status, name, title, refused); err != nil {
		v.p.cfg.Logger.ErrorContext(v.r.Context(), "show a problem", "error", err)
		http.Error(v.w, title, refused.Status)
	}
}
