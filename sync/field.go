package sync

// Field is one last-writer-wins register of an object: a value and the version that wrote it.
//
// Absent, null and empty are three things at Clerk. An absent field writes nothing, so the register
// keeps what an older version wrote. Null is a value, the nil of a pointer type. Empty is a value
// too. Because each field has a register of its own, "absent keeps" doesn't depend on the order of
// arrival. The zero Field was never written.
type Field[T any] struct {
	Value   T
	Version Version // zero: never written
}

// Written reports whether any version has written the field.
func (f Field[T]) Written() bool { return !f.Version.IsZero() }

// merge returns the register that the newer version wrote.
func (f Field[T]) merge(o Field[T]) Field[T] {
	if f.Version.Compare(o.Version) < 0 {
		return o
	}
	return f
}

// Register names one field of an object and points at the version that wrote it.
type Register struct {
	Name    string
	Version *Version
}

// Newest returns the newest version that wrote any of the registers.
func Newest(registers []Register) Version {
	var newest Version
	for _, r := range registers {
		if newest.Compare(*r.Version) < 0 {
			newest = *r.Version
		}
	}
	return newest
}
