// Package builder turns a plan into an image.
//
// It prints nothing, reads no clock and decides nothing that a user could want
// to decide: what a run has to say goes to the Progress that the caller hands
// in, and what it found out comes back as its result.
package builder

// Stage is one part of a run, in a word that can be shown to a user, such as
// "write" or "check".
type Stage string

// The stages of a run, in order.
const (
	StageFetch     Stage = "fetch"     // the source is made, or found in the cache
	StageScan      Stage = "scan"      // the source is listed; nothing is read yet
	StageInitramfs Stage = "initramfs" // modules are resolved and the archive is made
	StageWrite     Stage = "write"     // content is read, compressed and written
	StageESP       Stage = "esp"       // boot loader, kernels and entries are written
	StageDigest    Stage = "digest"    // what was written is hashed for the manifest
	StageSync      Stage = "sync"      // the host's cache goes to its disk
	StageVerify    Stage = "verify"    // what was written is read again
	StageConvert   Stage = "convert"   // a raw image becomes one of another format
)

// Progress is told how far a run has come.
type Progress interface {
	// Report says that done of total bytes of a stage are finished; total is 0
	// where it is not known. The first report of another stage ends the one
	// before. Calls are made one after the other, often, and from the path of
	// the data, so that an implementation must return at once.
	Report(stage Stage, done, total int64)
}

// Silent is a Progress that shows nothing.
type Silent struct{}

// Report does nothing.
func (Silent) Report(Stage, int64, int64) {}
