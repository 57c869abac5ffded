package vpaas

// Parse tells what becomes of a message: its type, what is repeated of its id,
// and of what kind the complaint is, if there is one.
func Parse(data []byte) (kind, ref, complaint string) {
	m, bad := parse(data)
	if bad != nil {
		return "", m.ref(), string(bad.kind)
	}
	return *m.Type, m.ref(), ""
}
