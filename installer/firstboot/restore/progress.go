package restore

import "time"

// The stages that a Progress tells of.
const (
	StageRestore = "restore" // data comes from the backup disk
	StageVerify  = "verify"  // what was restored is read again
)

// Progress is how far a stage has come.
type Progress struct {
	Stage string
	Done  int64 // bytes, with those that were there already
	Total int64 // bytes, at least Done; where a snapshot does not say them right, as far as they are known
	Files int64 // that are done
	Rate  int64 // bytes per second since the stage began; 0 when it is not known
	Left  time.Duration
}

// progressEvery is the time between two reports.
const progressEvery = time.Second

// meter makes reports of the numbers that it is told.
type meter struct {
	report   func(Progress)
	now      func() time.Time
	progress Progress
	began    time.Time
	reported time.Time
}

func (r *run) meter(stage string) *meter {
	return &meter{report: r.Progress, now: r.Now, progress: Progress{Stage: stage, Total: r.pin.Bytes}, began: r.Now()}
}

// set is told the numbers as often as they are known, and reports whether it has told
// them.
func (m *meter) set(done, files int64) bool {
	now := m.now()
	m.progress.Done, m.progress.Files = done, files
	m.progress.Total = max(m.progress.Total, done) // a snapshot may say too little
	if !m.reported.IsZero() && now.Sub(m.reported) < progressEvery {
		return false
	}
	m.reported = now
	p := m.progress
	p.Rate, p.Left = pace(p.Done, p.Total, now.Sub(m.began))
	m.report(p)
	return true
}

// pace returns the bytes per second, and how long the rest takes at that.
func pace(done, total int64, took time.Duration) (rate int64, left time.Duration) {
	if took < time.Second || done <= 0 {
		return 0, 0
	}
	rate = int64(float64(done) / took.Seconds())
	if rate <= 0 || total <= done {
		return rate, 0
	}
	seconds := float64(total-done) / float64(rate)
	if seconds > (365 * 24 * time.Hour).Seconds() {
		return rate, 0
	}
	return rate, time.Duration(seconds) * time.Second
}
