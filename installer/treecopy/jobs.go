package treecopy

import "sync"

// stack hands out jobs, the newest first, until there are none and nobody is
// making new ones.
type stack struct {
	mu      sync.Mutex
	wake    *sync.Cond
	list    []job
	working int
	stopped bool
}

func (s *stack) init() {
	if s.wake == nil {
		s.wake = sync.NewCond(&s.mu)
	}
}

func (s *stack) push(jobs ...job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	s.list = append(s.list, jobs...)
	s.wake.Broadcast()
}

// pop waits for a job; false when there will be none. done follows it.
func (s *stack) pop() (job, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	for len(s.list) == 0 && s.working > 0 && !s.stopped {
		s.wake.Wait()
	}
	if s.stopped || len(s.list) == 0 {
		return job{}, false
	}
	last := len(s.list) - 1
	j := s.list[last]
	s.list[last] = job{}
	s.list = s.list[:last]
	s.working++
	return j, true
}

func (s *stack) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.working--; s.working == 0 {
		s.wake.Broadcast()
	}
}

// stop ends the handing out.
func (s *stack) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	s.stopped = true
	s.wake.Broadcast()
}
