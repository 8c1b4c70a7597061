package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// summary is what `mkimage build --json` says at the end, as far as it is
// wanted here.
type summary struct {
	MessageType string `json:"message_type"`
	Stages      []struct {
		Stage   string  `json:"stage"`
		Seconds float64 `json:"seconds"`
	} `json:"stages"`
	Seconds float64 `json:"seconds"`
}

// buildImages builds an image several times and leaves the last one there.
func buildImages(ctx context.Context, rounds int, argv []string, image string) ([]summary, error) {
	var all []summary
	for range rounds {
		if err := os.Remove(image); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		out, err := command(ctx, argv...)
		if err != nil {
			return nil, err
		}
		s, err := parseSummary(out)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// parseSummary finds the summary among the lines of JSON.
func parseSummary(out []byte) (summary, error) {
	for line := range bytes.Lines(out) {
		var s summary
		if err := json.Unmarshal(line, &s); err != nil {
			return summary{}, fmt.Errorf("output of the build: %w", err)
		}
		if s.MessageType == "summary" {
			return s, nil
		}
	}
	return summary{}, errors.New("output of the build: no summary")
}
