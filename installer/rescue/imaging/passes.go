package imaging

const (
	// blockSize is how much is read at once, where nothing is known to be bad.
	blockSize = 128 << 10
	// The jump over what is damaged grows from firstJump by doubling to a hundredth of
	// the disk, but not beyond maxJump.
	firstJump = 64 << 10
	maxJump   = 1 << 30
)

// A pass goes once over the parts of a status.
type pass struct {
	Position
	backward bool
	run      func(c *copier, p pass, at int64) error
}

// passes are what is done, in order. The numbers are those of ddrescue, whose
// fifth pass of copying is the one that jumps no more.
func passes(retries int) []pass {
	list := []pass{
		{Position: Position{Status: NonTried, Pass: 1}, run: (*copier).copyForward},
		{Position: Position{Status: NonTried, Pass: 2}, backward: true, run: (*copier).copyBackward},
		{Position: Position{Status: NonTried, Pass: 5}, run: (*copier).copyForward},
		{Position: Position{Status: NonTrimmed, Pass: 1}, run: (*copier).trim},
		{Position: Position{Status: NonScraped, Pass: 1}, run: (*copier).sectorsForward},
	}
	for i := range retries {
		p := pass{Position: Position{Status: Bad, Pass: i + 1}, run: (*copier).sectorsForward}
		if i%2 == 1 {
			p.backward, p.run = true, (*copier).sectorsBackward
		}
		list = append(list, p)
	}
	return list
}

// jumps reports whether a pass leaves out what is near to what failed.
func (p pass) jumps() bool { return p.Status == NonTried && p.Pass < 5 }

// nextJump is how far to jump after an error, where the last jump was that far.
func nextJump(last, size int64) int64 {
	most := min(maxJump, max(firstJump, size/100))
	if last == 0 {
		return firstJump
	}
	return min(2*last, most)
}

// copyForward reads blocks from at on.
func (c *copier) copyForward(p pass, at int64) error {
	jump := int64(0)
	for {
		part, ok := c.m.next(at, p.Status)
		if !ok {
			return nil
		}
		n := min(part.Length, c.block-part.Start%c.block)
		good, err := c.try(part.Start, n, NonTrimmed)
		if err != nil {
			return err
		}
		at = part.Start + n
		jump = c.jump(p, good, jump)
		at += jump
		if err := c.at(p, at); err != nil {
			return err
		}
	}
}

// copyBackward reads blocks from what lies before at down to the start.
func (c *copier) copyBackward(p pass, at int64) error {
	jump := int64(0)
	for {
		part, ok := c.m.previous(at, p.Status)
		if !ok {
			return nil
		}
		n := min(part.Length, (part.end()-1)%c.block+1)
		at = part.end() - n
		good, err := c.try(at, n, NonTrimmed)
		if err != nil {
			return err
		}
		jump = c.jump(p, good, jump)
		at -= jump
		if err := c.at(p, at); err != nil {
			return err
		}
	}
}

func (c *copier) jump(p pass, good bool, last int64) int64 {
	if good || !p.jumps() {
		return 0
	}
	return nextJump(last, c.m.Size())
}

// trim finds the first and the last bad sector of each block that failed.
func (c *copier) trim(p pass, at int64) error {
	for {
		part, ok := c.m.next(at, p.Status)
		if !ok {
			return nil
		}
		start, end := part.Start, part.end()
		for good := true; good && start < end; {
			n := min(c.sector-start%c.sector, end-start)
			var err error
			if good, err = c.try(start, n, Bad); err != nil {
				return err
			}
			start += n
			if err := c.at(p, start); err != nil {
				return err
			}
		}
		for good := true; good && start < end; {
			n := min((end-1)%c.sector+1, end-start)
			end -= n
			var err error
			if good, err = c.try(end, n, Bad); err != nil {
				return err
			}
			if err := c.at(p, start); err != nil {
				return err
			}
		}
		c.m.set(start, end-start, NonScraped)
		at = part.end()
		if err := c.at(p, at); err != nil {
			return err
		}
	}
}

// sectorsForward reads sectors from at on.
func (c *copier) sectorsForward(p pass, at int64) error {
	for {
		part, ok := c.m.next(at, p.Status)
		if !ok {
			return nil
		}
		n := min(c.sector-part.Start%c.sector, part.Length)
		if _, err := c.try(part.Start, n, Bad); err != nil {
			return err
		}
		at = part.Start + n
		if err := c.at(p, at); err != nil {
			return err
		}
	}
}

// sectorsBackward reads sectors from what lies before at down to the start.
func (c *copier) sectorsBackward(p pass, at int64) error {
	for {
		part, ok := c.m.previous(at, p.Status)
		if !ok {
			return nil
		}
		n := min((part.end()-1)%c.sector+1, part.Length)
		at = part.end() - n
		if _, err := c.try(at, n, Bad); err != nil {
			return err
		}
		if err := c.at(p, at); err != nil {
			return err
		}
	}
}
