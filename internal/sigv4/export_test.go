package sigv4

// Parse is parse, which is fuzzed.
func Parse(header string) error {
	_, err := parse(header)
	return err
}
