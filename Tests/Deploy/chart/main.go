// Renders a Helm chart as `helm template` does, with the same template engine (text/template and sprig) and Helm's own functions as far as
// our chart uses them. Reads {chart, release, values} as JSON on standard input; prints {file: text} as JSON.
//
// Built without modules against Debian's packages: GO111MODULE=off GOPATH=/usr/share/gocode go build
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

type input struct {
	Chart   string                 `json:"chart"`
	Release map[string]interface{} `json:"release"`
	Values  map[string]interface{} `json:"values"`
}

type files map[string]string

func (f files) Get(name string) string { return f[name] }

// Merges b over a; null takes a default away.
func merge(a, b map[string]interface{}) map[string]interface{} {
	for key, value := range b {
		inner, isMap := value.(map[string]interface{})
		before, wasMap := a[key].(map[string]interface{})
		switch {
		case value == nil:
			delete(a, key)
		case isMap && wasMap:
			a[key] = merge(before, inner)
		default:
			a[key] = value
		}
	}
	return a
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	var in input
	fail(json.NewDecoder(os.Stdin).Decode(&in))
	read := func(name string) []byte {
		content, err := os.ReadFile(filepath.Join(in.Chart, name))
		fail(err)
		return content
	}
	chart, values := map[string]interface{}{}, map[string]interface{}{}
	fail(yaml.Unmarshal(read("Chart.yaml"), &chart))
	fail(yaml.Unmarshal(read("values.yaml"), &values))
	values = merge(values, in.Values)
	capitalised := map[string]interface{}{}
	for key, value := range chart {
		capitalised[strings.ToUpper(key[:1])+key[1:]] = value
	}
	others := files{}
	matches, _ := filepath.Glob(filepath.Join(in.Chart, "files", "*"))
	for _, path := range matches {
		name, _ := filepath.Rel(in.Chart, path)
		others[name] = string(read(name))
	}

	root := template.New("chart").Option("missingkey=zero")
	functions := sprig.TxtFuncMap()
	delete(functions, "env")
	delete(functions, "expandenv")
	functions["toYaml"] = func(value interface{}) string {
		text, err := yaml.Marshal(value)
		if err != nil {
			return ""
		}
		return strings.TrimSuffix(string(text), "\n")
	}
	functions["fromYaml"] = func(text string) map[string]interface{} {
		value := map[string]interface{}{}
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			value["Error"] = err.Error()
		}
		return value
	}
	functions["fromJsonArray"] = func(text string) []interface{} {
		value := []interface{}{}
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			value = []interface{}{err.Error()}
		}
		return value
	}
	functions["include"] = func(name string, data interface{}) (string, error) {
		var out bytes.Buffer
		err := root.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	functions["required"] = func(message string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, fmt.Errorf("%s", message)
		}
		if list, isList := value.([]interface{}); isList && len(list) == 0 {
			return nil, fmt.Errorf("%s", message)
		}
		return value, nil
	}
	functions["sha256sum"] = func(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }
	root.Funcs(functions)

	names, _ := filepath.Glob(filepath.Join(in.Chart, "templates", "*"))
	for _, path := range names {
		name, _ := filepath.Rel(in.Chart, path)
		_, err := root.New(name).Parse(string(read(name)))
		fail(err)
	}
	out := map[string]string{}
	for _, path := range names {
		name, _ := filepath.Rel(in.Chart, path)
		if strings.HasPrefix(filepath.Base(name), "_") {
			continue
		}
		data := map[string]interface{}{"Values": values, "Release": in.Release, "Chart": capitalised, "Files": others,
			"Template": map[string]interface{}{"Name": name}}
		var text bytes.Buffer
		fail(root.ExecuteTemplate(&text, name, data))
		out[name] = strings.ReplaceAll(text.String(), "<no value>", "")
	}
	fail(json.NewEncoder(os.Stdout).Encode(out))
}
