package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write docs/cli.md anew")

const referenceFile = "../../docs/cli.md"

const referenceHead = `# Command line

<!-- Generated from the commands by make generate. -->

What ` + "`gateway COMMAND --help`" + ` says, of every command.

| exit code | what it means |
| --- | --- |
| 0 | done |
| 1 | it failed, or what was looked at is not well; the last line of stderr says what |
| 2 | the command line or the configuration has to change before another try is worth it |

`

// TestReference holds docs/cli.md against the commands. With -update it writes
// the page.
func TestReference(t *testing.T) {
	want := reference(newRoot(io.Discard, io.Discard))
	if *update {
		if err := os.WriteFile(referenceFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the commands say of themselves; run make generate", referenceFile)
	}
}

// reference returns a page of all commands below root, with a table of those
// that do something at its beginning.
func reference(root *cobra.Command) []byte {
	var page, parts bytes.Buffer
	page.WriteString(referenceHead + "| command | what it does |\n| --- | --- |\n")
	each(root, func(cmd *cobra.Command) {
		if !isGroup(cmd) {
			anchor := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
			fmt.Fprintf(&page, "| [`%s`](#%s) | %s |\n", cmd.CommandPath(), anchor, lowerFirst(cmd.Short))
		}
		describe(&parts, cmd)
	})
	page.Write(parts.Bytes())
	return page.Bytes()
}

// each calls do with every command below one, in the order of their help.
func each(cmd *cobra.Command, do func(*cobra.Command)) {
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			do(sub)
			each(sub, do)
		}
	}
}

// isGroup reports whether a command does nothing but to hold others.
func isGroup(cmd *cobra.Command) bool {
	return cmd.HasAvailableSubCommands() && !cmd.LocalFlags().HasAvailableFlags()
}

// describe writes what a command says of itself.
func describe(w io.Writer, cmd *cobra.Command) {
	fmt.Fprintf(w, "\n## %s\n\n", cmd.CommandPath())
	long := cmd.Long
	if long == "" {
		long = cmd.Short + "."
	}
	fmt.Fprintf(w, "%s\n", paragraphs(long))
	if !isGroup(cmd) {
		fmt.Fprintf(w, "\n```\n%s\n```\n", cmd.UseLine())
	}
	if cmd.Example != "" {
		fmt.Fprintf(w, "\nFor example:\n\n```\n%s\n```\n", unindented(cmd.Example))
	}
	if cmd.LocalFlags().HasAvailableFlags() {
		fmt.Fprint(w, "\n| flag | default | meaning |\n| --- | --- | --- |\n")
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { describeFlag(w, f) })
	}
}

// describeFlag writes the row of a flag; that of help, which all have, is left
// out.
func describeFlag(w io.Writer, f *pflag.Flag) {
	if f.Hidden || f.Name == "help" {
		return
	}
	value, usage := pflag.UnquoteUsage(f)
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	if value != "" {
		name += " " + value
	}
	standard := ""
	switch f.DefValue {
	case "", "[]", "false":
	default:
		standard = "`" + home(f.DefValue) + "`"
	}
	fmt.Fprintf(w, "| `%s` | %s | %s |\n", name, standard, cell(usage))
}

// home returns a path with that of this machine's cache as most machines have it.
func home(path string) string {
	if cache, err := os.UserCacheDir(); err == nil {
		return strings.Replace(path, cache, "~/.cache", 1)
	}
	return path
}

// paragraphs returns help, which is made for a terminal, as Markdown: what is
// indented in it is a block, and nothing in it is markup.
func paragraphs(help string) string {
	var b strings.Builder
	block := false
	for line := range strings.SplitSeq(help, "\n") {
		if indented := strings.HasPrefix(line, "  "); indented != block && line != "" {
			if block {
				closed := strings.TrimRight(b.String(), "\n")
				b.Reset()
				b.WriteString(closed + "\n```\n\n")
			} else {
				b.WriteString("```\n")
			}
			block = indented
		}
		if !block {
			line = escaped(line)
		}
		b.WriteString(line + "\n")
	}
	if block {
		b.WriteString("```\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// markup takes from a text what Markdown would take for its own.
var markup = strings.NewReplacer("<", `\<`, "*", `\*`, "_", `\_`, "[", `\[`, "#", `\#`)

func escaped(text string) string { return markup.Replace(text) }

// cell returns text that stands in a table.
func cell(text string) string {
	return strings.ReplaceAll(escaped(strings.Join(strings.Fields(text), " ")), "|", `\|`)
}

// unindented returns an example less the two spaces that cobra wants before it.
func unindented(example string) string {
	lines := strings.Split(example, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// TestHelp holds every command to what its help needs to teach: what it does,
// how it is called, and flags that say what they take.
func TestHelp(t *testing.T) {
	root := newRoot(io.Discard, io.Discard)
	each(root, func(cmd *cobra.Command) {
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
				t.Errorf("in a list it says %q", cmd.Short)
			}
			if cmd.Long == "" {
				t.Error("it has no long help")
			}
			if cmd.Runnable() && cmd.Example == "" {
				t.Error("it has no example")
			}
			for line := range strings.SplitSeq(cmd.Long, "\n") {
				if len(line) > 80 {
					t.Errorf("a terminal of 80 columns breaks %q", line)
				}
			}
			cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
				if f.Usage == "" {
					t.Errorf("--%s says nothing", f.Name)
				}
			})
		})
	})
}

// TestExamples parses each example of each command as the command line would.
func TestExamples(t *testing.T) {
	examples := 0
	each(newRoot(io.Discard, io.Discard), func(cmd *cobra.Command) {
		for line := range strings.SplitSeq(strings.ReplaceAll(cmd.Example, "\\\n", ""), "\n") {
			for _, part := range strings.Split(line, "|") {
				if words, ok := ours(part); ok {
					examples++
					parse(t, cmd, part, words)
				}
			}
		}
	})
	if examples < 40 {
		t.Errorf("only %d examples were found", examples)
	}
}

// ours returns the arguments of gateway in one command of a shell's line, and
// whether it is one of gateway's.
func ours(command string) ([]string, bool) {
	command, _, _ = strings.Cut(command, " #")
	words := shellWords(command)
	for len(words) > 0 && strings.Contains(words[0], "=") {
		words = words[1:]
	}
	if len(words) == 0 || words[0] != "gateway" {
		return nil, false
	}
	for i, word := range words {
		if strings.HasPrefix(word, ">") || strings.HasPrefix(word, "<") || word == "&&" || word == "||" {
			return words[1:i], true
		}
	}
	return words[1:], true
}

// shellWords splits at spaces that no quote holds together.
func shellWords(line string) []string {
	var quote rune
	return strings.FieldsFunc(line, func(r rune) bool {
		switch {
		case quote == 0 && (r == '\'' || r == '"'):
			quote = r
		case r == quote:
			quote = 0
		}
		return quote == 0 && r == ' '
	})
}

// parse fails the test if the words are no command line of gateway, or that of
// another command.
func parse(t *testing.T, of *cobra.Command, line string, words []string) {
	t.Helper()
	cmd, rest, err := newRoot(io.Discard, io.Discard).Find(words)
	switch {
	case err != nil:
		t.Errorf("%s: %v", line, err)
	case !strings.HasPrefix(cmd.CommandPath(), of.CommandPath()):
		t.Errorf("%s: it is an example of %s", line, cmd.CommandPath())
	default:
		if err := cmd.ParseFlags(rest); err != nil {
			t.Errorf("%s: %v", line, err)
		} else if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}
