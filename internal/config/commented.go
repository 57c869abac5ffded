package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Line is a setting of a file that [Commented] writes.
type Line struct {
	// Key is the setting's path as [Doc] has it, where issuers[].issuer is that of
	// the one entry that the list gets.
	Key string
	// Value is a string, a bool or a []string; nil is the default.
	Value any
	// Off is an example, which is written as a comment. Of an entry of a list all
	// lines are off or the first is not.
	Off bool
}

// Commented writes a configuration file with the lines, in the order of the
// documentation and each below what that says of it. The head is put above it,
// as a comment. The error is for a key that there is not.
//
// Text is behind a # and a space, and what is off directly behind a #, so that
// the one can be told from the other.
func Commented(w io.Writer, head string, lines []Line) error {
	c := Default()
	root := &branch{}
	known := 0
	place := func(s setting, path, doc string) {
		if i := slices.IndexFunc(lines, func(l Line) bool { return l.Key == path }); i >= 0 {
			known++
			root.add(path, s, doc, lines[i])
		}
	}
	for _, s := range settingsOf(&c) {
		place(s, s.path, "")
		if path, element := s.parts(); element != nil {
			for _, part := range settingsOfElement(path, reflect.New(element).Elem()) {
				place(part, part.path, s.doc)
			}
		}
	}
	if known != len(lines) {
		return fmt.Errorf("config: %d of %d lines are of settings that there are, each once", known, len(lines))
	}
	var out bytes.Buffer
	writeComment(&out, "", head)
	for _, b := range root.below {
		out.WriteByte('\n')
		b.write(&out, "", "")
	}
	_, err := w.Write(out.Bytes())
	return err
}

// branch is a section of a file, or one setting.
type branch struct {
	name, doc string
	isList    bool
	below     []*branch
	value     string // of a setting, as YAML
	off       bool
}

// add puts a setting where its path says. The sections on the way have no text
// of their own, but for a list, which has doc.
func (b *branch) add(path string, s setting, doc string, line Line) {
	name, rest, more := strings.Cut(path, ".")
	if !more {
		b.below = append(b.below, &branch{name: name, doc: s.doc, value: yamlValue(s, line.Value), off: line.Off})
		return
	}
	name, isList := strings.CutSuffix(name, "[]")
	if n := len(b.below); n == 0 || b.below[n-1].name != name {
		b.below = append(b.below, &branch{name: name, isList: isList, off: true})
		if isList {
			b.below[n].doc = doc
		}
	}
	section := b.below[len(b.below)-1]
	section.off = section.off && line.Off
	section.add(rest, s, doc, line)
}

// write writes the branch with what is before its first line, in the entry of a
// list a hyphen, and what is before all others.
func (b *branch) write(out *bytes.Buffer, first, indent string) {
	writeComment(out, indent, b.doc)
	out.WriteString(indent)
	if b.off {
		out.WriteByte('#')
	}
	out.WriteString(first + b.name + ":")
	if b.below == nil {
		out.WriteString(" " + b.value + "\n")
		return
	}
	out.WriteByte('\n')
	indent += strings.Repeat(" ", len(first)+2)
	for i, c := range b.below {
		switch {
		case !b.isList:
			c.write(out, "", indent)
		case i == 0:
			c.write(out, "- ", indent)
		default:
			c.write(out, "", indent+"  ")
		}
	}
}

// commentWidth is how wide a line of a comment may be, in bytes.
const commentWidth = 100

// writeComment writes text in lines of words. An empty line stays one.
func writeComment(out *bytes.Buffer, indent, text string) {
	if text == "" {
		return
	}
	for paragraph := range strings.SplitSeq(text, "\n") {
		line := indent + "#"
		for word := range strings.FieldsSeq(paragraph) {
			if len(line)+1+len(word) > commentWidth && line != indent+"#" {
				out.WriteString(line + "\n")
				line = indent + "#"
			}
			line += " " + word
		}
		out.WriteString(line + "\n")
	}
}

// yamlValue is a value as a file has it.
func yamlValue(s setting, value any) string {
	switch v := value.(type) {
	case nil:
		return yamlText(s.text())
	case bool:
		return fmt.Sprint(v)
	case string:
		return yamlText(v)
	case []string:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = yamlText(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	default:
		panic(fmt.Sprintf("config: %s can't be written from a %T", s.path, value))
	}
}

// plain is what means itself in YAML wherever it stands. Whether it looks like
// a number makes no difference: what a setting is follows from its type.
var plain = regexp.MustCompile(`^[A-Za-z0-9/][A-Za-z0-9_./:@#+-]*[A-Za-z0-9/]$|^[A-Za-z0-9]$`)

func yamlText(text string) string {
	switch strings.ToLower(text) {
	case "null", "true", "false", "yes", "no", "on", "off", "y", "n":
	default:
		if plain.MatchString(text) {
			return text
		}
	}
	// JSON's strings are YAML's in double quotes.
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		panic(err) // a string can always be encoded
	}
	return strings.TrimSpace(out.String())
}
