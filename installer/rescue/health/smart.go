package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Smart is what a disk says of itself.
type Smart struct {
	Disk    string   `json:"disk"`
	Verdict Verdict  `json:"verdict"`
	Reasons []string `json:"reasons"`        // for the verdict, in plain words, the worst first
	Kind    string   `json:"kind,omitempty"` // "NVMe", "ATA", "SCSI"
	Model   string   `json:"model,omitempty"`
	Serial  string   `json:"serial,omitempty"`
	// Celsius is the temperature, 0 where it does not tell.
	Celsius int64 `json:"celsius,omitempty"`
	Hours   int64 `json:"hours,omitempty"` // that it was switched on
	NVMe    *NVMe `json:"nvme,omitempty"`
	ATA     *ATA  `json:"ata,omitempty"`
}

// NVMe are figures of the health log of an NVMe disk (NVM Express Base
// Specification, SMART / Health Information).
type NVMe struct {
	CriticalWarning int64 `json:"critical_warning"` // bits
	Spare           int64 `json:"spare"`            // percent that is left
	SpareThreshold  int64 `json:"spare_threshold"`  // percent
	Used            int64 `json:"used"`             // percent of its life, which may be over 100
	MediaErrors     int64 `json:"media_errors"`     // that it could not correct
}

// ATA are raw values of attributes, by their numbers; -1 of what a disk does not have.
type ATA struct {
	Reallocated   int64 `json:"reallocated"`   // 5: sectors that were replaced
	Pending       int64 `json:"pending"`       // 197: sectors that cannot be read now
	Uncorrectable int64 `json:"uncorrectable"` // 198, or 187: errors that could not be corrected
	CRC           int64 `json:"crc"`           // 199: errors on the cable
	Errors        int64 `json:"errors"`        // in its log
}

// Programs are those that ask disks; "" is one that is not there.
type Programs struct {
	Smartctl string // of smartmontools
	NVMe     string // of nvme-cli
}

const (
	maxSmart  = 1 << 20 // bytes of what a program prints
	smartTime = time.Minute
)

// AskSmart asks a disk how it is. What could not be asked is the verdict Unknown,
// with the reason; the error is that of the context alone.
func AskSmart(ctx context.Context, p Programs, disk string) (*Smart, error) {
	s, err := askSmart(ctx, p, disk)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		s = &Smart{Verdict: Unknown, Reasons: []string{err.Error()}}
	}
	s.Disk = disk
	return s, nil
}

func askSmart(ctx context.Context, p Programs, disk string) (*Smart, error) {
	ctx, cancel := context.WithTimeout(ctx, smartTime)
	defer cancel()
	switch {
	case p.Smartctl != "":
		text, code, err := run(ctx, p.Smartctl, "--json=c", "-H", "-A", "-i", "-l", "error", disk)
		if err != nil {
			return nil, err
		}
		return DecodeSmartctl(text, code)
	case p.NVMe != "" && strings.HasPrefix(disk, "/dev/nvme"):
		text, code, err := run(ctx, p.NVMe, "smart-log", "--output-format=json", disk)
		if err != nil {
			return nil, err
		}
		if code != 0 {
			return nil, fmt.Errorf("nvme smart-log failed with code %d", code)
		}
		return DecodeNVMe(text)
	}
	return nil, errors.New("there is no smartctl here to ask it")
}

// run returns what a program printed, up to maxSmart, and its exit code.
func run(ctx context.Context, program string, args ...string) ([]byte, int, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = time.Second
	out := &head{}
	cmd.Stdout = out
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, 0, errors.New("the disk did not answer in time")
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return out.b.Bytes(), exit.ExitCode(), nil
	case err != nil:
		return nil, 0, err
	}
	return out.b.Bytes(), 0, nil
}

// head keeps the beginning of what is written to it.
type head struct{ b bytes.Buffer }

func (h *head) Write(p []byte) (int, error) {
	h.b.Write(p[:min(len(p), maxSmart-h.b.Len())])
	return len(p), nil
}
