package health

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
)

// smartctlJSON is what is used of smartctl --json (version 7 of smartmontools).
type smartctlJSON struct {
	Smartctl struct {
		Messages []struct {
			Text     string `json:"string"`
			Severity string `json:"severity"`
		} `json:"messages"`
	} `json:"smartctl"`
	Device struct {
		Protocol string `json:"protocol"`
	} `json:"device"`
	Model  string `json:"model_name"`
	Serial string `json:"serial_number"`
	Status *struct {
		Passed bool `json:"passed"`
	} `json:"smart_status"`
	Temperature struct {
		Current int64 `json:"current"`
	} `json:"temperature"`
	PowerOn struct {
		Hours int64 `json:"hours"`
	} `json:"power_on_time"`
	NVMe *struct {
		CriticalWarning int64 `json:"critical_warning"`
		Spare           int64 `json:"available_spare"`
		Threshold       int64 `json:"available_spare_threshold"`
		Used            int64 `json:"percentage_used"`
		MediaErrors     int64 `json:"media_errors"`
	} `json:"nvme_smart_health_information_log"`
	ATA *struct {
		Table []struct {
			ID         int64  `json:"id"`
			WhenFailed string `json:"when_failed"`
			Name       string `json:"name"`
			Raw        struct {
				Value int64 `json:"value"`
			} `json:"raw"`
		} `json:"table"`
	} `json:"ata_smart_attributes"`
	ErrorLog struct {
		Summary struct {
			Count int64 `json:"count"`
		} `json:"summary"`
	} `json:"ata_smart_error_log"`
}

// Bits of the exit code of smartctl(8).
const (
	exitCommandLine = 1 << iota
	exitOpen
	exitCommand
	exitFailing
	exitPrefail
	exitPast
	exitErrorLog
	exitSelfTest
)

// DecodeSmartctl reads what "smartctl --json=c -H -A -i -l error" has printed, and
// its exit code. The error says why that tells nothing.
func DecodeSmartctl(text []byte, code int) (*Smart, error) {
	var j smartctlJSON
	if len(text) > maxSmart {
		return nil, fmt.Errorf("smartctl printed %d bytes, expected at most %d", len(text), maxSmart)
	}
	if err := json.Unmarshal(text, &j); err != nil {
		return nil, fmt.Errorf("smartctl: what it printed is no JSON: %w", err)
	}
	said := ""
	for _, m := range j.Smartctl.Messages {
		if m.Severity == "error" || said == "" {
			said = printable(m.Text)
		}
	}
	switch {
	case code&exitCommandLine != 0:
		return nil, fmt.Errorf("smartctl cannot ask it: %s", cmp.Or(said, "it does not understand the command line"))
	case code&exitOpen != 0:
		return nil, fmt.Errorf("smartctl cannot ask it: %s", cmp.Or(said, "the disk cannot be opened, or sleeps"))
	}
	s := &Smart{Kind: printable(j.Device.Protocol), Model: printable(j.Model), Serial: printable(j.Serial), Celsius: j.Temperature.Current, Hours: j.PowerOn.Hours}
	v := verdict{}
	if code&exitFailing != 0 || j.Status != nil && !j.Status.Passed {
		v.add(Failing, "the disk itself says that it is failing")
	}
	if n := j.NVMe; n != nil {
		s.NVMe = &NVMe{n.CriticalWarning, n.Spare, n.Threshold, n.Used, n.MediaErrors}
		v.nvme(s.NVMe)
	}
	if j.ATA != nil {
		s.ATA = j.ata()
		v.ata(s.ATA, s.Celsius)
	}
	v.exit(code, said)
	if j.Status == nil && j.NVMe == nil && j.ATA == nil && len(v.reasons) == 0 {
		return nil, fmt.Errorf("the disk does not say how it is: %s", cmp.Or(said, "it has no SMART"))
	}
	return v.of(s), nil
}

// ata takes what is known of attributes.
func (j *smartctlJSON) ata() *ATA {
	a := &ATA{Reallocated: -1, Pending: -1, Uncorrectable: -1, CRC: -1, Errors: j.ErrorLog.Summary.Count}
	for _, row := range j.ATA.Table {
		switch row.ID {
		case 5:
			a.Reallocated = row.Raw.Value
		case 197:
			a.Pending = row.Raw.Value
		case 187, 198:
			a.Uncorrectable = max(a.Uncorrectable, row.Raw.Value)
		case 199:
			a.CRC = row.Raw.Value
		}
	}
	return a
}

// DecodeNVMe reads what "nvme smart-log --output-format=json" has printed.
func DecodeNVMe(text []byte) (*Smart, error) {
	var j struct {
		CriticalWarning *json.RawMessage `json:"critical_warning"` // a number, or an object in new versions
		Temperature     int64            `json:"temperature"`      // kelvin
		Spare           int64            `json:"avail_spare"`
		Threshold       int64            `json:"spare_thresh"`
		Used            int64            `json:"percent_used"`
		MediaErrors     json.Number      `json:"media_errors"`
		Hours           json.Number      `json:"power_on_hours"`
	}
	if err := json.Unmarshal(text, &j); err != nil {
		return nil, fmt.Errorf("nvme: what it printed is no JSON: %w", err)
	}
	if j.CriticalWarning == nil {
		return nil, fmt.Errorf("nvme: what it printed has no critical_warning")
	}
	n := &NVMe{Spare: j.Spare, SpareThreshold: j.Threshold, Used: j.Used}
	var object struct {
		Value int64 `json:"value"`
	}
	if json.Unmarshal(*j.CriticalWarning, &n.CriticalWarning) != nil {
		if err := json.Unmarshal(*j.CriticalWarning, &object); err != nil {
			return nil, fmt.Errorf("nvme: critical_warning: %w", err)
		}
		n.CriticalWarning = object.Value
	}
	n.MediaErrors, _ = j.MediaErrors.Int64()
	s := &Smart{Kind: "NVMe", NVMe: n}
	s.Hours, _ = j.Hours.Int64()
	if j.Temperature > kelvin {
		s.Celsius = j.Temperature - kelvin
	}
	v := verdict{}
	v.nvme(n)
	return v.of(s), nil
}

const kelvin = 273

// printable is a text of a disk, in one line that no terminal takes for commands.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0xfffd {
			return '?'
		}
		return r
	}, text)
	return strings.TrimSpace(text[:min(len(text), 200)])
}
