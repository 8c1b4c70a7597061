package bls

import (
	"fmt"
	"strconv"
	"strings"
)

// MenuForce and MenuHidden are Conf.Timeout values that are words: the menu
// stays until a key is pressed, or shows only when one is held.
const (
	MenuForce  = -1
	MenuHidden = 0
)

// Conf is loader.conf, as far as it concerns us.
type Conf struct {
	Timeout     int    // seconds that the menu waits, MenuForce or MenuHidden
	Default     string // a glob pattern for the file names of entries
	Editor      bool   // the command line may be changed in the menu
	ConsoleMode string // such as "keep"; "" leaves it to systemd-boot
}

// Encode returns the text of the file.
func (c Conf) Encode() ([]byte, error) {
	if c.Timeout < MenuForce {
		return nil, fmt.Errorf("timeout %d, expected %d or more", c.Timeout, MenuForce)
	}
	timeout, editor := strconv.Itoa(c.Timeout), "no"
	if c.Timeout == MenuForce {
		timeout = "menu-force"
	}
	if c.Editor {
		editor = "yes"
	}
	var b strings.Builder
	for _, l := range []line{{"timeout", timeout}, {"default", c.Default}, {"editor", editor}, {"console-mode", c.ConsoleMode}} {
		if l.value == "" {
			continue
		}
		if err := checkValue(l.key, l.value); err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s %s\n", l.key, l.value)
	}
	return []byte(b.String()), nil
}

// ParseConf reads loader.conf. What is not there has systemd-boot's defaults:
// a hidden menu and an editor.
func ParseConf(data []byte) (Conf, error) {
	c := Conf{Editor: true}
	err := eachLine(data, func(key, value string) (err error) {
		switch key {
		case "timeout":
			c.Timeout, err = parseTimeout(value)
		case "default":
			c.Default = value
		case "editor":
			c.Editor, err = parseBool(value)
		case "console-mode":
			c.ConsoleMode = value
		}
		return err
	})
	if err != nil {
		return Conf{}, err
	}
	return c, nil
}

func parseTimeout(value string) (int, error) {
	switch value {
	case "menu-force":
		return MenuForce, nil
	case "menu-hidden", "menu-disabled":
		return MenuHidden, nil
	}
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("timeout %q, expected seconds, menu-force, menu-hidden or menu-disabled", value)
	}
	return int(n), nil
}

// parseBool knows the words of systemd-boot.
func parseBool(value string) (bool, error) {
	switch value {
	case "1", "yes", "y", "true", "t", "on":
		return true, nil
	case "0", "no", "n", "false", "f", "off":
		return false, nil
	}
	return false, fmt.Errorf("value %q, expected yes or no", value)
}
