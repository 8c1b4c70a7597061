package fstree

// Tests behind the gates of imgtest are in package fstree_test, because
// imgtest imports this package. They share these with the others.
var (
	Diff        = diff
	Listing     = listing
	Must        = must
	MustScanDir = mustScanDir
	Run         = run
	SetTime     = setTime
	SetXattr    = setXattr
	Write       = write
)
