package narstore

import (
	"container/list"
	"sync"
)

// pool keeps the values that were used last, up to a number. A value is made once
// for all who want it, and dropped when nobody has it any more.
type pool[K comparable, V any] struct {
	most int
	drop func(V)

	mu     sync.Mutex
	values map[K]*pooled[K, V]
	idle   list.List // of *pooled[K, V], the one used last at the back
}

// pooled is a value of a pool.
type pooled[K comparable, V any] struct {
	key   K
	made  chan struct{} // closed when value or err is there
	value V
	err   error
	users int
	place *list.Element // in idle, while there are no users
}

func newPool[K comparable, V any](most int, drop func(V)) *pool[K, V] {
	return &pool[K, V]{most: most, drop: drop, values: map[K]*pooled[K, V]{}}
}

// take returns the value of a key, and makes it where there is none. The caller
// gives it back with put. An error is not kept.
func (p *pool[K, V]) take(key K, build func() (V, error)) (*pooled[K, V], error) {
	p.mu.Lock()
	v := p.values[key]
	if v != nil {
		p.use(v)
		p.mu.Unlock()
		<-v.made
		return p.checked(v)
	}
	v = &pooled[K, V]{key: key, made: make(chan struct{})}
	p.values[key] = v
	p.use(v)
	p.mu.Unlock()
	v.value, v.err = build()
	close(v.made)
	return p.checked(v)
}

// use counts a user.
func (p *pool[K, V]) use(v *pooled[K, V]) {
	v.users++
	if v.place != nil {
		p.idle.Remove(v.place)
		v.place = nil
	}
}

// checked gives a value back that could not be made.
func (p *pool[K, V]) checked(v *pooled[K, V]) (*pooled[K, V], error) {
	if v.err != nil {
		p.put(v)
		return nil, v.err
	}
	return v, nil
}

// put gives a value back.
func (p *pool[K, V]) put(v *pooled[K, V]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v.users--
	if v.err != nil {
		if p.values[v.key] == v {
			delete(p.values, v.key)
		}
		return
	}
	if v.users == 0 {
		v.place = p.idle.PushBack(v)
	}
	for len(p.values) > p.most && p.idle.Len() > 0 {
		p.evict(p.idle.Front())
	}
}

func (p *pool[K, V]) evict(place *list.Element) {
	v := place.Value.(*pooled[K, V])
	p.idle.Remove(place)
	delete(p.values, v.key)
	p.drop(v.value)
}

// clear drops all values that nobody uses.
func (p *pool[K, V]) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.idle.Len() > 0 {
		p.evict(p.idle.Front())
	}
}
