package imaging

import "time"

// rateOver is the time that a rate is of.
const rateOver = 10 * time.Second

// rate knows how much was rescued when.
type rate struct {
	marks []mark // of the last rateOver, and the one before them
}

type mark struct {
	at      time.Time
	rescued int64
}

// add says how much is rescued now, and returns how much that is in a second.
func (r *rate) add(now time.Time, rescued int64) int64 {
	r.marks = append(r.marks, mark{now, rescued})
	for len(r.marks) > 2 && now.Sub(r.marks[1].at) >= rateOver {
		r.marks = r.marks[1:]
	}
	first := r.marks[0]
	took := now.Sub(first.at).Seconds()
	if took <= 0 {
		return 0
	}
	return int64(float64(rescued-first.rescued) / took)
}

// tell calls the request's Progress.
func (c *copier) tell() {
	c.told = time.Now()
	if c.r.Progress == nil {
		return
	}
	p := Progress{Doing: c.m.Position.String(), At: c.m.Position.At}
	p.Rescued, _ = c.m.Count(Rescued)
	p.Bad, _ = c.m.Count(Bad)
	p.Remaining = c.m.Size() - p.Rescued - p.Bad
	p.Rate = c.rate.add(c.told, p.Rescued)
	c.r.Progress(p)
}
