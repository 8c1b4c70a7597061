package profiles

import "github.com/6FaNcY9/mkimage/builder/strict"

func check(p *Profile, f *strict.Findings) {}
