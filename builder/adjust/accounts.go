package adjust

import (
	"slices"
	"strconv"
	"strings"
)

// accounts is a file of the form of passwd(5): records of fields with colons
// between them, the first of which is a name.
type accounts struct {
	path    string
	mode    uint32 // when the source lacks the file
	there   bool   // in the source
	records [][]string
}

// Fields of the records.
const (
	fieldName    = 0
	fieldSecret  = 1 // of all but subuid and subgid
	fieldID      = 2 // uid of passwd, gid of group
	fieldMembers = 3 // of group and gshadow
)

func (e *editor) accounts(path string, mode uint32) (*accounts, error) {
	text, ok, err := e.read(path)
	if err != nil {
		return nil, err
	}
	a := &accounts{path: path, mode: mode, there: ok}
	for _, line := range lines(text) {
		a.records = append(a.records, strings.Split(line, ":"))
	}
	return a, nil
}

// store writes the records back.
func (e *editor) store(a *accounts) error {
	var b strings.Builder
	for _, r := range a.records {
		b.WriteString(strings.Join(r, ":") + "\n")
	}
	return e.rewrite(a.path, b.String(), a.mode)
}

// find returns the record of a name, or nil.
func (a *accounts) find(name string) []string {
	return a.first(fieldName, name)
}

// owner returns the name that has an id, or "".
func (a *accounts) owner(id uint32) string {
	if r := a.first(fieldID, idText(id)); r != nil {
		return r[fieldName]
	}
	return ""
}

func (a *accounts) first(field int, value string) []string {
	i := slices.IndexFunc(a.records, func(r []string) bool { return len(r) > field && r[field] == value })
	if i < 0 {
		return nil
	}
	return a.records[i]
}

func (a *accounts) append(fields ...string) { a.records = append(a.records, fields) }

// replace adds a record in place of those of its name: the first of them counts.
func (a *accounts) replace(fields ...string) {
	a.records = slices.DeleteFunc(a.records, func(r []string) bool { return r[fieldName] == fields[fieldName] })
	a.append(fields...)
}

// names returns the names of all records.
func (a *accounts) names() []string {
	var list []string
	for _, r := range a.records {
		list = append(list, r[fieldName])
	}
	return list
}

// join makes a user a member of a group, if the file has the group.
func (a *accounts) join(group, user string) {
	r := a.find(group)
	if len(r) <= fieldMembers {
		return
	}
	members := strings.FieldsFunc(r[fieldMembers], func(c rune) bool { return c == ',' })
	if !slices.Contains(members, user) {
		r[fieldMembers] = strings.Join(append(members, user), ",")
	}
}

// set changes a field of a name's record, if the file has both.
func (a *accounts) set(name string, field int, value string) {
	if r := a.find(name); len(r) > field {
		r[field] = value
	}
}

func idText(id uint32) string { return strconv.FormatUint(uint64(id), 10) }
