package nix

import "strings"

// Quote writes a string of the Nix language. A dollar sign is escaped wherever it
// stands, so that none can begin an antiquotation.
func Quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(text) + `"`
}

// QuoteList writes a list of strings on one line.
func QuoteList(texts []string) string {
	var b strings.Builder
	for _, t := range texts {
		b.WriteString(" " + Quote(t))
	}
	return "[" + b.String() + " ]"
}
