package sbom

import (
	"maps"
	"slices"
	"strings"
)

// spdxNames gives the SPDX identifiers of the short names that Debian's
// copyright files have (the list of copyright-format/1.0 and what else is common
// and means one licence only). Names are in small letters. "BSD" or "GPL" alone
// are not here: nobody knows which.
var spdxNames = map[string]string{
	"0bsd":             "0BSD",
	"agpl-3":           "AGPL-3.0-only",
	"agpl-3+":          "AGPL-3.0-or-later",
	"apache-2":         "Apache-2.0",
	"apache-2.0":       "Apache-2.0",
	"artistic":         "Artistic-1.0-Perl",
	"artistic-2.0":     "Artistic-2.0",
	"bsd-2-clause":     "BSD-2-Clause",
	"bsd-3-clause":     "BSD-3-Clause",
	"bsd-4-clause":     "BSD-4-Clause",
	"bsd-4-clause-uc":  "BSD-4-Clause-UC",
	"bsl-1.0":          "BSL-1.0",
	"cc-by-3.0":        "CC-BY-3.0",
	"cc-by-4.0":        "CC-BY-4.0",
	"cc-by-sa-3.0":     "CC-BY-SA-3.0",
	"cc-by-sa-4.0":     "CC-BY-SA-4.0",
	"cc0":              "CC0-1.0",
	"cc0-1.0":          "CC0-1.0",
	"curl":             "curl",
	"expat":            "MIT",
	"fsfap":            "FSFAP",
	"fsfullr":          "FSFULLR",
	"gpl-1":            "GPL-1.0-only",
	"gpl-1+":           "GPL-1.0-or-later",
	"gpl-2":            "GPL-2.0-only",
	"gpl-2+":           "GPL-2.0-or-later",
	"gpl-2.0":          "GPL-2.0-only",
	"gpl-2.0+":         "GPL-2.0-or-later",
	"gpl-3":            "GPL-3.0-only",
	"gpl-3+":           "GPL-3.0-or-later",
	"isc":              "ISC",
	"lgpl-2":           "LGPL-2.0-only",
	"lgpl-2+":          "LGPL-2.0-or-later",
	"lgpl-2.1":         "LGPL-2.1-only",
	"lgpl-2.1+":        "LGPL-2.1-or-later",
	"lgpl-3":           "LGPL-3.0-only",
	"lgpl-3+":          "LGPL-3.0-or-later",
	"mpl-1.1":          "MPL-1.1",
	"mpl-2.0":          "MPL-2.0",
	"openldap-2.8":     "OLDAP-2.8",
	"unicode-dfs-2016": "Unicode-DFS-2016",
	"x11":              "X11",
	"zlib":             "Zlib",
}

// maxComment bounds the comment that lists the names of licences.
const maxComment = 2000

// declared returns the SPDX expression for what the copyright file of a package
// says of its files, and a comment where it has names that SPDX does not know:
// the expression asserts nothing then.
func declared(licenses []string) (expression, comment string) {
	if len(licenses) == 0 {
		return noAssertion, ""
	}
	terms := map[string]bool{}
	for _, l := range licenses {
		term := alternatives(l)
		if term == "" {
			return noAssertion, listed(licenses)
		}
		terms[term] = true
	}
	list := slices.Sorted(maps.Keys(terms))
	if len(list) == 1 {
		return strings.Trim(list[0], "()"), ""
	}
	return strings.Join(list, " AND "), ""
}

// listed is the comment that keeps names which have no SPDX identifier.
func listed(licenses []string) string {
	text := "the copyright file names: " + strings.Join(licenses, "; ")
	if len(text) > maxComment {
		text = strings.ToValidUTF8(text[:maxComment], "") + " and more"
	}
	return text
}

// alternatives turns "A", "A or B or C" and "A and B" into an SPDX term, or
// returns "" where a name has no identifier or the two words are mixed.
func alternatives(text string) string {
	joint, word := " OR ", " or "
	if !strings.Contains(text, word) {
		joint, word = " AND ", " and "
	}
	var ids []string
	for name := range strings.SplitSeq(text, word) {
		id, ok := spdxNames[strings.ToLower(strings.TrimSpace(name))]
		if !ok {
			return ""
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) == 1 || joint == " AND " {
		return strings.Join(ids, joint)
	}
	return "(" + strings.Join(ids, joint) + ")"
}
