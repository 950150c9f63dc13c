package playground

// GuardedPaths are those of all routes that need a session. By the others, anybody becomes anybody.
func GuardedPaths() (paths []string) {
	for _, rt := range routes() {
		if rt.needs != anyone {
			paths = append(paths, rt.path)
		}
	}
	return paths
}
