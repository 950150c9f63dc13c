// Package regular reads small regular files that operators name. It guarantees that reading ends:
// it refuses pipes, devices and large files.
package regular

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Read returns the text of a regular file of at most limit bytes; a symbolic link may lead to it.
// Its error completes a sentence about the file and doesn't name it: the name may be a secret that
// was written in the place of a name.
func Read(name string, limit int64) (text []byte, err error) {
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator names it; without O_NONBLOCK, opening a pipe waits for a writer
	if err != nil {
		return nil, unnamed(err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, unnamed(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	if text, err = io.ReadAll(io.LimitReader(file, limit+1)); err != nil {
		return nil, unnamed(err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("it has more than %d bytes", limit)
	}
	return text, nil
}

// unnamed returns an error without the file's name.
func unnamed(err error) error {
	if named, ok := errors.AsType[*fs.PathError](err); ok {
		return named.Err
	}
	return err
}
