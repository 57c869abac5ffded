package config

import (
	"bufio"
	"fmt"
	"io"
	"reflect"

	"github.com/goccy/go-yaml"
)

// Print writes the configuration as YAML that [Load] can read again, except
// that secrets are replaced by a placeholder. The mode is a comment, since it
// is no part of a file.
func (c Config) Print(w io.Writer) error {
	text, err := yaml.Marshal(c)
	if err != nil {
		return fmt.Errorf("config: print: %w", err)
	}
	if c.Dev {
		text = append([]byte("# development mode\n"), text...)
	}
	_, err = w.Write(text)
	return err
}

const docHead = `# Configuration

A server takes its configuration from these sources, each overriding those before it:

1. the defaults below, or those for development mode with ` + "`--dev`" + `;
2. the file given with ` + "`--config`" + `, in YAML or JSON, where the key ` + "`server.http`" + ` is ` + "`http`" + ` in the section ` + "`server`" + `, and ` + "`issuers[].issuer`" + ` is ` + "`issuer`" + ` in each section of the list ` + "`issuers`" + `, and ` + "`NAME`" + ` stands for any name;
3. the environment, where a list is separated by commas and a variable without a value counts as not set;
4. flags.

In development mode, and only there, variables that the environment lacks are taken from the file ` + "`.env`" + ` of the folder that the server is started in, if there is one: one ` + "`NAME=value`" + ` a line, the value bare, in single quotes, or in double quotes with ` + "`\\n`" + ` and the like. Comments begin with ` + "`#`" + `; nothing is put in for ` + "`$NAME`" + `.

A secret is best kept elsewhere: ` + "`file:PATH`" + ` in its place is what that file has, and ` + "`env:NAME`" + ` what that variable has. Written out in the file it gets a warning.

Unknown keys, keys given twice and values that can't be right stop the start, with all mistakes listed. ` +
	"`usher config check`" + ` lists them without starting, and ` + "`usher config print`" + ` shows what is in force.

This page is made from the source by ` + "`go generate ./internal/config`" + `.
`

// Doc writes a description of every key, in Markdown.
func Doc(w io.Writer) error {
	normal, dev := Default(), Dev()
	devSettings := settingsOf(&dev)
	out := bufio.NewWriter(w)
	_, _ = out.WriteString(docHead)
	for i, s := range settingsOf(&normal) {
		describe(out, s)
		if d := devSettings[i]; d.text() != s.text() {
			fmt.Fprintf(out, "- With `--dev`: %s\n", shown(d))
		}
		if path, element := s.parts(); element != nil {
			for _, part := range settingsOfElement(path, reflect.New(element).Elem()) {
				describe(out, part)
			}
		}
	}
	return out.Flush()
}

func describe(out io.Writer, s setting) {
	fmt.Fprintf(out, "\n## `%s`\n\n%s\n\n", s.path, s.doc)
	if s.short != "" {
		fmt.Fprintf(out, "- In short: `%s: %s` in place of the section\n", s.short, s.text())
	}
	if s.env == "" || s.fileOnly() {
		fmt.Fprint(out, "- Environment: none, only the file\n")
	} else if s.further != "" {
		fmt.Fprintf(out, "- Environment: `%s`, or `%s`\n", s.env, s.further)
	} else {
		fmt.Fprintf(out, "- Environment: `%s`\n", s.env)
	}
	if s.env == "" && s.optional {
		return // its text says what not to set it means
	}
	fmt.Fprintf(out, "- Default: %s\n", shown(s))
}

func shown(s setting) string {
	text := s.text()
	if text == "" || s.optional && s.value.IsZero() {
		return "none"
	}
	return "`" + text + "`"
}
