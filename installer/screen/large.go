package screen

import "strings"

// glyphs are the characters of results, five lines of five columns each: a person
// who walks past sees from afar how it ended.
var glyphs = map[rune][5]string{
	'O': {" ### ", "#   #", "#   #", "#   #", " ### "},
	'K': {"#   #", "#  # ", "###  ", "#  # ", "#   #"},
	'E': {"#####", "#    ", "#### ", "#    ", "#####"},
	'0': {" ### ", "#  ##", "# # #", "##  #", " ### "},
	'1': {"  #  ", " ##  ", "  #  ", "  #  ", " ### "},
	'2': {"#### ", "    #", " ### ", "#    ", "#####"},
	'3': {"#### ", "    #", " ### ", "    #", "#### "},
	'4': {"#   #", "#   #", "#####", "    #", "    #"},
	'5': {"#####", "#    ", "#### ", "    #", "#### "},
	'6': {" ### ", "#    ", "#### ", "#   #", " ### "},
	'7': {"#####", "    #", "   # ", "  #  ", "  #  "},
	'8': {" ### ", "#   #", " ### ", "#   #", " ### "},
	'9': {" ### ", "#   #", " ####", "    #", " ### "},
	' ': {"     ", "     ", "     ", "     ", "     "},
}

// large returns a text in large characters, nothing for "". Characters without a
// glyph are left out.
func large(text string) []string {
	var lines [5]string
	any := false
	for _, r := range text {
		g, ok := glyphs[r]
		if !ok {
			continue
		}
		any = true
		for i := range lines {
			lines[i] += "  " + g[i]
		}
	}
	if !any {
		return nil
	}
	out := []string{""}
	for _, l := range lines {
		out = append(out, strings.TrimRight(l, " "))
	}
	return out
}
