package bootmenu

import "testing"

func TestWithParameter(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"in its place", "title x\noptions a resume_offset=12  b\n", "title x\noptions a resume_offset=7  b\n"},
		{"twice", "options resume_offset=1 resume_offset=2\noptions\tresume_offset=3", "options resume_offset=7 resume_offset=7\noptions\tresume_offset=7"},
		{"another line", "title resume_offset=1\n# options resume_offset=1\n", "title resume_offset=1\n# options resume_offset=1\n"},
		{"another word", "options xresume_offset=1 resume_offset resume_offsets=1\n", "options xresume_offset=1 resume_offset resume_offsets=1\n"},
		{"nothing", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := withParameter(tt.text, "resume_offset", "7"); got != tt.want {
				t.Errorf("%q; want %q", got, tt.want)
			}
		})
	}
}
