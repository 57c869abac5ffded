package config

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// file is the source of values in YAML. The error is for text that is no YAML,
// or none of a kind that has settings; every other mistake becomes a problem.
//
// We walk the tree ourselves because a decoder stops at the first mistake.
func (l *loader) file(text []byte) error {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // as some editors write
	tree, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		// The error quotes the file, secrets included; so do some messages,
		// behind a colon.
		if at, ok := errors.AsType[yaml.Error](err); ok {
			message, _, _ := strings.Cut(at.GetMessage(), ":")
			return fmt.Errorf("is not YAML: %s (%s)", message, line(at.GetToken().Position.Line))
		}
		return errors.New("is not YAML")
	}
	var body ast.Node
	for _, doc := range tree.Docs {
		switch {
		case doc.Body == nil:
		case body != nil:
			return fmt.Errorf("has more than one document (%s)", lineOf(doc.Body))
		default:
			body = doc.Body
		}
	}
	if body != nil {
		l.section("", body)
	}
	return nil
}

// section reads the values below path.
func (l *loader) section(path string, node ast.Node) {
	if _, empty := node.(*ast.NullNode); empty {
		return // as when all of a section's keys are comments
	}
	mapping, ok := node.(ast.MapNode)
	if !ok {
		if path == "" {
			path = "file"
		}
		l.problem(path, "must be a section with keys (%s)", lineOf(node))
		return
	}
	for full, entry := range l.entries(path, mapping) {
		l.entry(path, full, entry.Key(), entry.Value())
	}
}

// entries yields each entry of the section path with its own path. A key that
// is none, or there twice, becomes a problem.
func (l *loader) entries(path string, mapping ast.MapNode) iter.Seq2[string, *ast.MapNodeIter] {
	return func(yield func(string, *ast.MapNodeIter) bool) {
		seen := make(map[string]ast.Node)
		for entry := mapping.MapRange(); entry.Next(); {
			key, err := scalar(entry.Key())
			if err != nil {
				l.problem(join(path, "?"), "the key %s (%s)", err, lineOf(entry.Key()))
				continue
			}
			full := join(path, printable(key))
			if first, double := seen[key]; double {
				l.problem(full, "is given twice (%s and %s)", lineOf(first), lineOf(entry.Key()))
				continue
			}
			seen[key] = entry.Key()
			if !yield(full, entry) {
				return
			}
		}
	}
}

// entry reads what the file has for the key full in the section path.
func (l *loader) entry(path, full string, key, value ast.Node) {
	isSection := false
	switch value.(type) {
	case ast.MapNode, *ast.NullNode:
		isSection = true
	}
	if i := slices.IndexFunc(l.settings, func(s setting) bool { return s.path == full || s.short == full && !isSection }); i >= 0 {
		l.value(l.settings[i], value)
		return
	}
	if slices.ContainsFunc(l.settings, func(s setting) bool { return strings.HasPrefix(s.path, full+".") }) {
		l.section(full, value)
		return
	}
	hint := ""
	if near := l.suggest(path, full); near != "" {
		hint = "; did you mean " + near + "?"
	}
	l.problem(full, "unknown key (%s)%s", lineOf(key), hint)
}

// value reads one setting, of whatever form it is.
func (l *loader) value(s setting, node ast.Node) {
	switch list, isList := s.value.Addr().Interface().(*[]string); {
	case isList:
		l.list(s, list, node)
	case s.isMap():
		l.mapping(s, node)
	case s.isSections():
		l.sections(s, node)
	default:
		text, err := scalar(node)
		if err != nil {
			l.problem(s.path, "%s (%s)", err, lineOf(node))
			return
		}
		l.set(s, text, lineOf(node))
	}
}

// sequence returns what is in a list, and makes the list the source of s.
func (l *loader) sequence(s setting, node ast.Node) []ast.Node {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		l.problem(s.path, "must be a list (%s)", lineOf(node))
		return nil
	}
	l.given[s.path] = true
	l.origin[s.path] = lineOf(node)
	for i, item := range sequence.Values {
		l.origin[index(s.path, i)] = lineOf(item)
	}
	return sequence.Values
}

func (l *loader) list(s setting, list *[]string, node ast.Node) {
	*list = nil
	for _, item := range l.sequence(s, node) {
		text, err := scalar(item)
		if err != nil {
			l.problem(s.path, "each of the list %s (%s)", err, lineOf(item))
			continue
		}
		*list = append(*list, text)
	}
}

// sections reads a list of sections. Each has settings of its own from then on.
func (l *loader) sections(s setting, node ast.Node) {
	items := l.sequence(s, node)
	if len(items) == 0 {
		return
	}
	s.value.Set(reflect.MakeSlice(s.value.Type(), len(items), len(items)))
	for i, item := range items {
		path := index(s.path, i)
		l.settings = append(l.settings, settingsOfElement(path, s.value.Index(i))...)
		l.section(path, item)
	}
}

// mapping reads a section whose keys people choose, and whose values are all
// of one type. Those that are sections have settings of their own from then on.
func (l *loader) mapping(s setting, node ast.Node) {
	if _, empty := node.(*ast.NullNode); empty {
		return // as when all of a section's keys are comments
	}
	entries, ok := node.(ast.MapNode)
	if !ok {
		l.problem(s.path, "must be a section with names and values (%s)", lineOf(node))
		return
	}
	l.given[s.path] = true
	l.origin[s.path] = lineOf(node)
	for full, entry := range l.entries(s.path, entries) {
		key := strings.TrimPrefix(full, s.path+".")
		if strings.HasPrefix(key, `"`) {
			l.problem(full, "must be a name without dots and quotes, of characters that can be seen (%s)", lineOf(entry.Key()))
			continue
		}
		if s.value.IsNil() {
			s.value.Set(reflect.MakeMap(s.value.Type()))
		}
		value := reflect.New(s.value.Type().Elem()).Elem()
		name := reflect.ValueOf(key).Convert(s.value.Type().Key())
		if _, section := s.parts(); section != nil {
			l.origin[full] = lineOf(entry.Key())
			l.settings = append(l.settings, settingsOfElement(full, value)...)
			l.named = append(l.named, namedSection{s.value, name, value})
			l.section(full, entry.Value())
			continue
		}
		l.value(setting{path: full, value: value}, entry.Value())
		s.value.SetMapIndex(name, value)
	}
}

// scalar returns the text of a node as it is written, so that an id of nothing
// but digits stays one.
func scalar(node ast.Node) (string, error) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return node.GetToken().Value, nil
	case *ast.NullNode:
		return "", errors.New("must have a value; leave the key out to use the default")
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		return "", errors.New("must be written out: anchors, aliases, merges and tags are not read")
	default:
		return "", errors.New("must be a single value")
	}
}

// suggest returns the key that full, unknown in the section path, was probably
// meant to be: one beside it, or one of its name elsewhere.
func (l *loader) suggest(path, full string) string {
	var siblings []string
	for _, s := range l.settings {
		rest, ok := strings.CutPrefix(s.path, join(path, ""))
		if !ok {
			continue
		}
		key, _, _ := strings.Cut(rest, ".")
		siblings = append(siblings, join(path, key))
	}
	if near := nearest(full, siblings); near != "" {
		return near
	}
	for _, s := range l.settings {
		if strings.EqualFold(lastKey(s.path), lastKey(full)) {
			return s.path
		}
	}
	return ""
}

// printable keeps a foreign key on one line and from being taken for a path.
func printable(key string) string {
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return strings.ContainsRune(`.[]"`, r) || !unicode.IsGraphic(r) }) {
		return strconv.Quote(key)
	}
	return key
}

func lineOf(node ast.Node) string { return line(node.GetToken().Position.Line) }

// lineWord begins the origin of what stands in a file.
const lineWord = "line "

func line(n int) string { return lineWord + strconv.Itoa(n) }
