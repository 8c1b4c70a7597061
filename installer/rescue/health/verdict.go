package health

import (
	"fmt"
	"slices"
)

// verdict collects reasons.
type verdict struct {
	reasons []reason
}

type reason struct {
	verdict Verdict
	text    string
}

func (v *verdict) add(is Verdict, format string, args ...any) {
	v.reasons = append(v.reasons, reason{is, fmt.Sprintf(format, args...)})
}

// of gives a disk its verdict: that of the worst reason.
func (v *verdict) of(s *Smart) *Smart {
	slices.SortStableFunc(v.reasons, func(a, b reason) int { return rank(b.verdict) - rank(a.verdict) })
	s.Verdict = OK
	for i, r := range v.reasons {
		if i == 0 {
			s.Verdict = r.verdict
		}
		s.Reasons = append(s.Reasons, r.text)
	}
	if len(s.Reasons) == 0 {
		s.Reasons = []string{"the disk says that it is well"}
	}
	return s
}

// rank orders verdicts, the worst highest.
func rank(v Verdict) int { return slices.Index([]Verdict{OK, Unknown, Warn, Failing}, v) }

// Worst returns the worst of some verdicts, OK of none. Unknown is better than Warn.
func Worst(list ...Verdict) Verdict {
	worst := OK
	for _, v := range list {
		if rank(v) > rank(worst) {
			worst = v
		}
	}
	return worst
}

// criticalWarnings are the bits of that field.
var criticalWarnings = []struct {
	verdict Verdict
	text    string
}{
	{Failing, "the spare blocks are used up: the next bad one is lost"},
	{Warn, "it is too hot or too cold"},
	{Failing, "it has many errors and is no longer reliable"},
	{Failing, "it has become read-only, as it does at the end of its life"},
	{Warn, "the power that it needs to keep its cache has failed"},
	{Warn, "its persistent memory has become unreliable"},
}

// nvme judges the figures of an NVMe disk.
func (v *verdict) nvme(n *NVMe) {
	for bit, w := range criticalWarnings {
		if n.CriticalWarning&(1<<bit) != 0 {
			v.add(w.verdict, "%s", w.text)
		}
	}
	if n.CriticalWarning&1 == 0 && n.SpareThreshold > 0 && n.Spare < n.SpareThreshold {
		v.add(Failing, "%d%% of the spare blocks are left, the least is %d%%", n.Spare, n.SpareThreshold)
	}
	if n.MediaErrors > 0 {
		v.add(Warn, "%d times it could not read or write what it was asked for", n.MediaErrors)
	}
	if n.Used >= 100 {
		v.add(Warn, "%d%% of the life that it was made for are used", n.Used)
	}
}

// hot is a temperature that wears a disk with ATA out, in degrees Celsius.
const hot = 60

// ata judges the figures of an ATA disk.
func (v *verdict) ata(a *ATA, celsius int64) {
	if a.Pending > 0 {
		v.add(Failing, "%d sectors cannot be read at the moment", a.Pending)
	}
	if a.Uncorrectable > 0 {
		v.add(Failing, "%d errors could not be corrected", a.Uncorrectable)
	}
	if a.Reallocated > 0 {
		v.add(Warn, "%d bad sectors were replaced by spare ones", a.Reallocated)
	}
	if a.CRC > 0 {
		v.add(Warn, "%d errors on the way from the disk: check the cable", a.CRC)
	}
	if celsius >= hot {
		v.add(Warn, "it has %d degrees Celsius", celsius)
	}
}

// exit judges the other bits of smartctl's exit code.
func (v *verdict) exit(code int, said string) {
	if code&exitPrefail != 0 {
		v.add(Failing, "an attribute that foretells failure is below its threshold")
	}
	if code&exitPast != 0 {
		v.add(Warn, "an attribute was below its threshold in the past")
	}
	if code&exitErrorLog != 0 {
		v.add(Warn, "its log has errors")
	}
	if code&exitSelfTest != 0 {
		v.add(Warn, "its last self-tests failed")
	}
	if code&exitCommand != 0 && said != "" {
		v.add(Unknown, "not all could be asked: %s", said)
	}
}
