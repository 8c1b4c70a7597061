package main

import "testing"

func TestModeText(t *testing.T) {
	tests := []struct {
		in   uint32
		want string
	}{
		{0o100644, "-rw-r--r--"}, {0o040755, "drwxr-xr-x"}, {0o120777, "lrwxrwxrwx"}, {0o010600, "prw-------"},
		{0o020666, "crw-rw-rw-"}, {0o060660, "brw-rw----"}, {0o140755, "srwxr-xr-x"}, {0o100000, "----------"},
		{0o104755, "-rwsr-xr-x"}, {0o104644, "-rwSr--r--"}, {0o102755, "-rwxr-sr-x"}, {0o102745, "-rwxr-Sr-x"},
		{0o041777, "drwxrwxrwt"}, {0o041776, "drwxrwxrwT"}, {0o000644, "?rw-r--r--"}, {0o170644, "?rw-r--r--"},
	}
	for _, tt := range tests {
		if got := modeText(tt.in); got != tt.want {
			t.Errorf("modeText(%#o) = %q; want %q", tt.in, got, tt.want)
		}
	}
}

func TestPrintable(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain", "plain"}, {"with space", "with space"}, {"größe", "größe"}, {"日本", "日本"}, {`back\slash "quote"`, `back\slash "quote"`},
		{"\x1b[31m", `"\x1b[31m"`}, {"new\nline", `"new\nline"`}, {"bad\xff", `"bad\xff"`}, {"\u202eltr", `"\u202eltr"`}, {"\u00a0", `"\u00a0"`},
	}
	for _, tt := range tests {
		if got := printable(tt.in); got != tt.want {
			t.Errorf("printable(%q) = %s; want %s", tt.in, got, tt.want)
		}
	}
}
