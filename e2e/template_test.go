package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/google/go-cmp/cmp"

	"usher/internal/config"
)

// template is a CloudFormation template with its intrinsic functions in their long
// form, as in JSON.
type template map[string]any

const templateFile = "../deploy/aws/template.yaml"

func parseTemplate(t *testing.T, text []byte) template {
	t.Helper()
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		t.Fatal(err)
	}
	value, _ := plainYAML(t, file.Docs[0].Body).(map[string]any)
	return value
}

// plainYAML turns a node into maps, lists and values.
func plainYAML(t *testing.T, node ast.Node) any {
	t.Helper()
	switch n := node.(type) {
	case *ast.TagNode:
		name, value := strings.TrimPrefix(n.Start.Value, "!"), plainYAML(t, n.Value)
		switch name {
		case "Ref":
			return map[string]any{"Ref": value}
		case "GetAtt":
			resource, attribute, _ := strings.Cut(value.(string), ".")
			return map[string]any{"Fn::GetAtt": []any{resource, attribute}}
		default:
			return map[string]any{"Fn::" + name: value}
		}
	case *ast.MappingNode:
		m := make(map[string]any)
		for _, v := range n.Values {
			m[v.Key.String()] = plainYAML(t, v.Value)
		}
		return m
	case *ast.MappingValueNode:
		return map[string]any{n.Key.String(): plainYAML(t, n.Value)}
	case *ast.SequenceNode:
		list := make([]any, len(n.Values))
		for i, v := range n.Values {
			list[i] = plainYAML(t, v)
		}
		return list
	case *ast.StringNode:
		return n.Value
	case ast.ScalarNode:
		return n.GetValue()
	default:
		t.Fatalf("%s: a %T is not for templates", node.GetPath(), node)
		return nil
	}
}

// section is one of the template's own maps.
func (tpl template) section(name string) map[string]any {
	m, _ := tpl[name].(map[string]any)
	return m
}

// walk calls do with every map of the template.
func walkTemplate(path string, value any, do func(path string, m map[string]any)) {
	switch v := value.(type) {
	case map[string]any:
		do(path, v)
		for name, inner := range v {
			walkTemplate(path+"."+name, inner, do)
		}
	case []any:
		for i, inner := range v {
			walkTemplate(fmt.Sprintf("%s[%d]", path, i), inner, do)
		}
	}
}

var substituted = regexp.MustCompile(`\$\{([^!}][^}]*)\}`)

// lint returns what in the template refers to nothing, and what nothing refers to.
func (tpl template) lint(environ map[string]bool) []string {
	var problems []string
	used := make(map[string]bool)
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	parameters, conditions, resources := tpl.section("Parameters"), tpl.section("Conditions"), tpl.section("Resources")
	refer := func(path, name string, parametersToo bool) {
		used[name] = true
		if strings.HasPrefix(name, "AWS::") {
			if !slices.Contains([]string{"AWS::AccountId", "AWS::Partition", "AWS::Region", "AWS::StackName", "AWS::URLSuffix", "AWS::NoValue"}, name) {
				problem("%s: there is no pseudo parameter %s", path, name)
			}
			return
		}
		if resources[name] == nil && (!parametersToo || parameters[name] == nil) {
			problem("%s: there is no %s", path, name)
		}
	}
	condition := func(path string, name any) {
		text, _ := name.(string)
		used[text] = true
		if conditions[text] == nil {
			problem("%s: there is no condition %v", path, name)
		}
	}
	walkTemplate("template", map[string]any(tpl), func(path string, m map[string]any) {
		if name, ok := m["Ref"].(string); ok {
			refer(path, name, true)
		}
		if list, ok := m["Fn::GetAtt"].([]any); ok {
			refer(path, fmt.Sprint(list[0]), false)
		}
		if list, ok := m["Fn::If"].([]any); ok {
			if len(list) != 3 {
				problem("%s: an If has three parts", path)
			}
			condition(path, list[0])
		}
		var local map[string]any
		text, isSub := m["Fn::Sub"].(string)
		if list, ok := m["Fn::Sub"].([]any); ok && len(list) == 2 {
			text, isSub = list[0].(string)
			local, _ = list[1].(map[string]any)
		}
		if isSub {
			for _, found := range substituted.FindAllStringSubmatch(text, -1) {
				name, _, attribute := strings.Cut(found[1], ".")
				if local[name] == nil {
					refer(path, name, !attribute)
				}
			}
		}
		if name, ok := m["Condition"]; ok && m["Fn::If"] == nil && strings.Count(path, ".") == 2 {
			condition(path, name)
		}
	})
	for name, value := range resources {
		r, _ := value.(map[string]any)
		switch on := r["DependsOn"].(type) {
		case nil:
		case string:
			refer(name+".DependsOn", on, false)
		case []any:
			for _, one := range on {
				refer(name+".DependsOn", fmt.Sprint(one), false)
			}
		}
		for attribute := range r {
			if !slices.Contains([]string{"Type", "Properties", "Condition", "DependsOn", "DeletionPolicy", "UpdateReplacePolicy", "Metadata"}, attribute) {
				problem("%s.%s: there is no such attribute of resources", name, attribute)
			}
		}
	}
	for section := range tpl {
		if !slices.Contains([]string{"AWSTemplateFormatVersion", "Transform", "Description", "Parameters", "Conditions", "Rules", "Globals", "Resources", "Outputs"}, section) {
			problem("there is no section %s", section)
		}
	}
	for name := range maps.Keys(parameters) {
		if !used[name] {
			problem("the parameter %s is used nowhere", name)
		}
	}
	for name := range maps.Keys(conditions) {
		if !used[name] {
			problem("the condition %s is used nowhere", name)
		}
	}
	for name := range tpl.environment() {
		if !environ[name] {
			problem("no setting of ours is called %s", name)
		}
	}
	slices.Sort(problems)
	return problems
}

// environment is what all functions have in theirs.
func (tpl template) environment() map[string]any {
	value := any(map[string]any(tpl))
	for _, name := range []string{"Globals", "Function", "Environment", "Variables"} {
		m, _ := value.(map[string]any)
		value = m[name]
	}
	m, _ := value.(map[string]any)
	return m
}

// knownVariables are those that the configuration reads.
func knownVariables(t *testing.T) map[string]bool {
	t.Helper()
	var doc bytes.Buffer
	if err := config.Doc(&doc); err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, line := range regexp.MustCompile("(?m)^- Environment: (.*)$").FindAllStringSubmatch(doc.String(), -1) {
		for _, name := range regexp.MustCompile("`([A-Z0-9_]+)`").FindAllStringSubmatch(line[1], -1) {
			known[name[1]] = true
		}
	}
	return known
}

// specProblems holds templates against AWS's specification of resources.
func specProblems(t *testing.T, templates map[string]template) map[string]string {
	t.Helper()
	dir := nodeDir(t, filepath.Join("@aws-cdk", "aws-service-spec"))
	text, err := json.Marshal(templates)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "templates.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(within(t, time.Minute), "node", "template.mjs", file)
	var stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stderr = dir, environ(), &stderr
	out, err := cmd.Output()
	var problems map[string]string
	if err == nil {
		err = json.Unmarshal(out, &problems)
	}
	if err != nil {
		t.Fatalf("template.mjs: %v\n%s", err, &stderr)
	}
	return problems
}

func TestTheTemplateForAWSIsSound(t *testing.T) {
	t.Parallel()
	tpl := parseTemplate(t, readFile(t, templateFile))
	if problems := tpl.lint(knownVariables(t)); len(problems) > 0 {
		t.Errorf("%s:\n%s", templateFile, strings.Join(problems, "\n"))
	}
	if problems := specProblems(t, map[string]template{"ours": tpl})["ours"]; problems != "" {
		t.Errorf("%s:\n%s", templateFile, problems)
	}
	functions := make(map[string]string)
	for name, r := range tpl.section("Resources") {
		if r := r.(map[string]any); r["Type"] == "AWS::Serverless::Function" {
			functions[name] = ""
			for _, event := range mapOf(mapOf(r["Properties"])["Events"]) {
				p := mapOf(mapOf(event)["Properties"])
				functions[name] += fmt.Sprint(p["Method"], " ", p["Path"])
			}
		}
	}
	want := map[string]string{
		"CreateUser": "GET /user", "GetContacts": "GET /contacts", "AddContact": "POST /contacts", "DeleteContact": "DELETE /contacts/{contactId}",
		"AuthWS": "", "ConnectionHandler": "", "DefaultHandler": "", "Sweep": "<nil> <nil>",
	}
	if diff := cmp.Diff(want, functions); diff != "" {
		t.Errorf("the functions (-want +got):\n%s", diff)
	}
}

func mapOf(value any) map[string]any {
	m, _ := value.(map[string]any)
	return m
}

// The tables are those of the tutorial: its program can work on them.
func TestTheTemplateMakesTheTablesOfTheVideoChat(t *testing.T) {
	t.Parallel()
	tpl := parseTemplate(t, readFile(t, templateFile))
	var got []string
	for _, r := range tpl.section("Resources") {
		r := mapOf(r)
		if r["Type"] != "AWS::DynamoDB::Table" {
			continue
		}
		p := mapOf(r["Properties"])
		keys := func(schema any) (text string) {
			for _, k := range schema.([]any) {
				text += fmt.Sprint(" ", mapOf(k)["AttributeName"], ":", mapOf(k)["KeyType"])
			}
			return text
		}
		line := fmt.Sprint(mapOf(p["TableName"])["Fn::Sub"], keys(p["KeySchema"]))
		if indexes, ok := p["GlobalSecondaryIndexes"].([]any); ok {
			for _, i := range indexes {
				line += fmt.Sprint(", ", mapOf(i)["IndexName"], keys(mapOf(i)["KeySchema"]), " ", mapOf(mapOf(i)["Projection"])["ProjectionType"])
			}
		}
		if r["DeletionPolicy"] != "Retain" {
			line += ", goes with the stack"
		}
		got = append(got, line)
	}
	slices.Sort(got)
	want := []string{
		"${ServiceName}-connections-${Stage} userId:HASH connectionId:RANGE",
		"${ServiceName}-contacts-${Stage} userId:HASH contactUserId:RANGE, UserIdIndex userId:HASH contactEmail:RANGE ALL",
		"${ServiceName}-users-${Stage} userId:HASH, UserIdIndex email:HASH ALL",
		"${ServiceName}-usher-${Stage} pk:HASH sk:RANGE",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the tables (-want +got):\n%s", diff)
	}
}

// The checks find what they are there for.
func TestMistakesInATemplateAreFound(t *testing.T) {
	t.Parallel()
	sound := string(readFile(t, templateFile))
	known := knownVariables(t)
	mistakes := map[string]struct{ old, by, want string }{
		"a Ref to nothing":               {"!Ref WebSocketApi", "!Ref WebSocketAPI", "there is no WebSocketAPI"},
		"a GetAtt of nothing":            {"!GetAtt UserPool.Arn", "!GetAtt Pool.Arn", "there is no Pool"},
		"a Sub of nothing":               {"${ConnectionIntegration}", "${Integration}", "there is no Integration"},
		"a pseudo parameter":             {"${AWS::Partition}", "${AWS::Part}", "there is no pseudo parameter AWS::Part"},
		"a DependsOn of nothing":         {"DependsOn: [ConnectRoute", "DependsOn: [Route", "there is no Route"},
		"a condition that is not":        {"Condition: MakesUserPool", "Condition: MakesPool", "there is no condition MakesPool"},
		"an If of no condition":          {"!If [MakesUserPool,", "!If [MakesPool,", "there is no condition MakesPool"},
		"a parameter that nobody uses":   {"Conditions:\n", "  Other: {Type: String}\nConditions:\n", "the parameter Other is used nowhere"},
		"a condition that nobody uses":   {"Conditions:\n", "Conditions:\n  Other: !Equals [a, b]\n", "the condition Other is used nowhere"},
		"a variable that nobody reads":   {"USHER_TABLE:", "USHER_TABEL:", "no setting of ours is called USHER_TABEL"},
		"an attribute that there is not": {"!GetAtt UserPool.Arn", "!GetAtt UserPool.ARN", "UserPool has no attribute ARN"},
		"one in a Sub":                   {"${AuthWS.Arn}", "${AuthWS.Name}", "AuthWS has no attribute Name"},
		"a type that there is not":       {"AWS::ApiGatewayV2::Stage", "AWS::ApiGatewayV2::Stages", "there is no type AWS::ApiGatewayV2::Stages"},
		"a property that there is not":   {"RouteKey: $connect", "Key: $connect", "ConnectRoute.Key: there is no such property"},
		"a property that is missing":     {"RouteKey: $connect", "", "ConnectRoute.RouteKey: is required"},
		"one deep inside":                {"{ProjectionType: ALL}", "{Type: ALL}", "there is no such property"},
		"a property of another type":     {"UsernameAttributes: [email]", "UsernameAttributes: email", "is not of the type array"},
		"a global property":              {"MemorySize: 256", "MemorySize: much", "MemorySize: is not of the type number"},
		"an attribute of a resource":     {"UpdateReplacePolicy: Retain", "ReplacePolicy: Retain", "there is no such attribute of resources"},
	}
	templates, found := make(map[string]template), make(map[string]string)
	for name, tt := range mistakes {
		if !strings.Contains(sound, tt.old) {
			t.Fatalf("%s: the template has no %q", name, tt.old)
		}
		templates[name] = parseTemplate(t, []byte(strings.Replace(sound, tt.old, tt.by, 1)))
		found[name] = strings.Join(templates[name].lint(known), "\n")
	}
	for name, problems := range specProblems(t, templates) {
		found[name] += "\n" + problems
	}
	for name, tt := range mistakes {
		if !strings.Contains(found[name], tt.want) {
			t.Errorf("%s: found is %q, want %q", name, found[name], tt.want)
		}
	}
}
