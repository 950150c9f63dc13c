package console

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"path"
	"strings"
	"text/template/parse"
	"time"
)

//go:embed templates
var templateFiles embed.FS

// templates are the pages' templates by name, each with the layout and the common parts.
type templates map[string]*template.Template

// parseTemplates reads all templates. In each, every printed value passes through [shown].
func parseTemplates(now func() time.Time) (templates, error) {
	base, err := template.New("base").Funcs(functions(now)).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, fmt.Errorf("parse the layout: %w", err)
	}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	all := templates{}
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		page, err := base.Clone()
		if err == nil {
			page, err = page.ParseFS(templateFiles, file)
		}
		if err != nil {
			return nil, fmt.Errorf("parse template %s: %w", name, err)
		}
		for _, t := range page.Templates() {
			showAll(t.Tree)
		}
		all[name] = page
	}
	return all, nil
}

// execute writes a page within the layout.
func (t templates) execute(out io.Writer, name string, l layout) error {
	page, ok := t[name]
	if !ok {
		return fmt.Errorf("there is no template %s", name)
	}
	if err := page.ExecuteTemplate(out, "layout", l); err != nil {
		return fmt.Errorf("write the page %s: %w", name, err)
	}
	return nil
}

// showAll appends the function shown to all pipelines of a template that print something. So no
// template can forget it.
func showAll(tree *parse.Tree) {
	if tree == nil || tree.Root == nil {
		return
	}
	showList(tree.Root)
}

func showList(list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.ActionNode:
			showPipe(n.Pipe)
		case *parse.IfNode:
			showList(n.List)
			showList(n.ElseList)
		case *parse.RangeNode:
			showList(n.List)
			showList(n.ElseList)
		case *parse.WithNode:
			showList(n.List)
			showList(n.ElseList)
		}
	}
}

func showPipe(pipe *parse.PipeNode) {
	if len(pipe.Decl) > 0 { // it prints nothing
		return
	}
	function := parse.NewIdentifier("shown").SetPos(pipe.Pos)
	pipe.Cmds = append(pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: pipe.Pos, Args: []parse.Node{function}})
}
