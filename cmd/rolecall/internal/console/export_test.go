package console

// PagePaths returns the paths of all pages, as the console's list has them.
func PagePaths() []string {
	paths := []string{}
	for _, p := range (&Console{}).pages() {
		paths = append(paths, p.path)
	}
	return paths
}
