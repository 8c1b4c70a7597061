package main

import "fmt"

// menuKey is the annotation of commands that the menu has an entry for: the place in the
// menu, a space, and its title.
const menuKey = "menu"

// menuEntry returns the annotation of a command that the menu has at a place.
func menuEntry(place int, title string) map[string]string {
	return map[string]string{menuKey: fmt.Sprintf("%02d %s", place, title)}
}
