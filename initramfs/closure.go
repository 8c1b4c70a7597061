package initramfs

import "slices"

// ordered is a module in its place in the order of loading.
type ordered struct {
	moduleFile
	name  string
	after []string // names of earlier modules that must be loaded before it
}

// closure returns the named modules and all that they need, in the order of
// loading: what modprobe does for one name after the other.
func (x *index) closure(names []string) ([]ordered, error) {
	w := walk{index: x, visited: map[string]bool{}, place: map[string]int{}}
	for _, name := range names {
		modules, known := x.find(name)
		if !known {
			return nil, x.unknown(name)
		}
		for _, m := range modules {
			w.visit(m)
		}
	}
	return w.order, nil
}

// walk is one computation of a closure.
type walk struct {
	*index
	visited map[string]bool
	place   map[string]int // in order, by name
	order   []ordered
}

// visit puts a module after what it needs. Every module is visited once, so
// that soft dependencies may form a cycle; where they do, the order of the
// hard ones holds.
func (w *walk) visit(name string) {
	if w.visited[name] {
		return
	}
	w.visited[name] = true
	for _, dep := range w.files[name].deps {
		w.put(dep)
	}
	w.put(name)
}

// put appends a module whose hard dependencies are in place, between its soft
// ones.
func (w *walk) put(name string) {
	soft := w.soft[name]
	pre := w.resolve(soft.pre)
	for _, s := range pre {
		w.visit(s)
	}
	if _, ok := w.place[name]; !ok {
		m := ordered{moduleFile: w.files[name], name: name}
		for _, dep := range slices.Concat(m.deps, pre) {
			if _, ok := w.place[dep]; ok && !slices.Contains(m.after, dep) {
				m.after = append(m.after, dep)
			}
		}
		w.place[name] = len(w.order)
		w.order = append(w.order, m)
	}
	for _, s := range w.resolve(soft.post) {
		w.visit(s)
		// A module that was in its place already is not moved.
		if i, ok := w.place[s]; ok && i > w.place[name] && !slices.Contains(w.order[i].after, name) {
			w.order[i].after = append(w.order[i].after, name)
		}
	}
}

// resolve returns the modules that soft dependencies mean. One that is not
// there is nothing to worry about: that is what makes it soft.
func (w *walk) resolve(names []string) []string {
	var modules []string
	for _, name := range names {
		found, _ := w.find(name)
		modules = append(modules, found...)
	}
	return modules
}
