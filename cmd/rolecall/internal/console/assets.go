package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"time"
)

//go:embed assets
var assetFiles embed.FS

// assets serves the style sheets, the script and the icon to everyone: they hold nothing of the
// mirror. Their
// addresses have a part of their hash, so that a browser keeps each version for good.
func (c *Console) assets() {
	for _, name := range []string{"style.css", "script.js", "icon.svg", "jobs.css"} {
		text := assetText(name)
		serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery != "" {
				w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
			}
			http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(text))
		})
		c.mux.Handle("GET /assets/"+name, serve)
	}
}

func assetText(name string) []byte {
	text, err := assetFiles.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	return text
}

// assetPath returns the address of a file's present version.
func assetPath(name string) string {
	sum := sha256.Sum256(assetText(name))
	return "/assets/" + name + "?v=" + hex.EncodeToString(sum[:6])
}
